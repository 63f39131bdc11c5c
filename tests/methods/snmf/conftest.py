"""Activations that are non-negative mixtures of sparse features."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations


def _sparse_features(n: int, d: int, k: int, s: int, noise: float, share: float) -> SimpleNamespace:
    """x = codes @ features with signed features of s neurons and codes that are positive on a share of the tokens."""
    generator = np.random.default_rng(0)
    features = np.zeros((k, d))
    for row in features:
        row[generator.choice(d, s, replace=False)] = generator.choice([-1, 1], s) * generator.uniform(0.5, 1.5, s)
    codes = generator.exponential(size=(n, k)) * (generator.random((n, k)) < share)
    x = codes @ features + noise * generator.normal(size=(n, d))
    return SimpleNamespace(
        features=torch.tensor(features, dtype=torch.float32),
        codes=torch.tensor(codes, dtype=torch.float32),
        x=torch.tensor(x, dtype=torch.float32),
        activations=InMemoryActivations(torch.tensor(x, dtype=torch.float32)),
        sparsity=s / d,
    )


@pytest.fixture(scope="session")
def sparse_features() -> SimpleNamespace:
    return _sparse_features(n=1500, d=60, k=10, s=6, noise=0.01, share=0.25)


@pytest.fixture(scope="session")
def separated_features() -> SimpleNamespace:
    """More and rarer features that share few neurons."""
    return _sparse_features(n=3000, d=500, k=40, s=20, noise=0.05, share=0.1)
