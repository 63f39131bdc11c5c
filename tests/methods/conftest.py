"""Activations in memory with planted structure."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from unweave.activations.memory import InMemoryActivations


class Rows(InMemoryActivations):
    """Activations in memory that are read in short blocks and count how often."""

    def __init__(self, x: Tensor) -> None:
        super().__init__(x)
        self.passes = 0

    def blocks(self, size: int = 8192) -> Iterator[Tensor]:
        self.passes += 1
        return super().blocks(min(size, 700))


@pytest.fixture
def in_memory() -> Callable[[Tensor], Rows]:
    return Rows


def _planted(n: int = 6000, d: int = 6, gaussian: int = 0) -> SimpleNamespace:
    """x = sources @ mixing.T + offset with skewed sparse sources, the last few of them Gaussian, of unit variance."""
    generator = np.random.default_rng(0)
    laplace = generator.laplace(size=(n, d))
    sources = np.where(laplace > 0, 2 * laplace, laplace)
    if gaussian:
        sources[:, -gaussian:] = generator.normal(size=(n, gaussian))
    sources = (sources - sources.mean(0)) / sources.std(0)
    mixing = generator.normal(size=(d, d))
    offset = generator.normal(size=d)
    x = torch.tensor(sources @ mixing.T + offset, dtype=torch.float32)
    activations = Rows(x)
    activations.labels = (sources[:, 0] > 0).astype(np.int64)
    activations.documents = np.arange(n) // 20
    activations.targets = Rows(torch.tensor(np.tanh(sources) @ mixing, dtype=torch.float32))
    activations.targets.site = "mlp_out"
    return SimpleNamespace(
        sources=torch.tensor(sources, dtype=torch.float32),
        mixing=torch.tensor(mixing, dtype=torch.float32),
        x=x,
        activations=activations,
    )


@pytest.fixture(scope="session")
def planted() -> SimpleNamespace:
    return _planted()


@pytest.fixture(scope="session")
def plant() -> Callable[..., SimpleNamespace]:
    return _planted


@pytest.fixture(scope="session")
def gaussian() -> Rows:
    """Correlated Gaussian rows: nothing in them is non-Gaussian."""
    generator = torch.Generator().manual_seed(3)
    return Rows(torch.randn(20_000, 8, generator=generator) @ torch.randn(8, 8, generator=generator))


@pytest.fixture(scope="session")
def matched_cosines() -> Callable[[Tensor, Tensor], Tensor]:
    """|cosine| of each row of one matrix with its partner of the other, in the one-to-one match of largest total."""
    from scipy.optimize import linear_sum_assignment

    def match(one: Tensor, other: Tensor) -> Tensor:
        unit = torch.nn.functional.normalize
        cosines = (unit(one.double()) @ unit(other.double()).T).abs()
        return cosines[linear_sum_assignment(-cosines.numpy())]

    return match


@pytest.fixture(scope="session")
def cpu() -> torch.device:
    return torch.device("cpu")
