"""Linear probes of pooled activations, one per class, for TPP and SCR.

A probe minimises the mean logistic loss plus 1e-3 ||w||_1, SAEBench's objective. SAEBench takes 20 epochs of AdamW
towards it and keeps the epoch that is best on the *test* texts: with thousands of texts this comes near the minimum,
with hundreds it stops far before it, and choosing by the test texts makes clean accuracies, and with them every drop,
too large. Here the minimum is found; SAEBench's way is kept for comparisons with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEARNING_RATE, BATCH_TEXTS, EPOCHS, L1_PENALTY = 1e-3, 16, 20, 1e-3


@dataclass(frozen=True)
class Probes:
    """Probes of C classes on d dimensions: text x is of class c where x @ weights[c] + biases[c] > 0."""

    weights: Floats
    """(C, d)"""
    biases: Floats
    """(C,)"""

    def logits(self, x: Floats) -> Floats:
        """(m, C) of texts x (m, d)."""
        logits: Floats = x @ self.weights.T + self.biases
        return logits

    @classmethod
    def stacked(cls, probes: Sequence["Probes"]) -> "Probes":
        """All classes of `probes` as one."""
        return cls(np.concatenate([p.weights for p in probes]), np.concatenate([p.biases for p in probes]))


def train_probe(x: Floats, y: Integers) -> Probes:
    """Train the probe of one class on texts x (m, d) with 0/1 targets y (m,)."""
    probe = LogisticRegression(
        C=1 / (L1_PENALTY * len(x)), l1_ratio=1, solver="liblinear", max_iter=1000, random_state=0
    )
    probe.fit(x, y)
    return Probes(probe.coef_, probe.intercept_)


def train_probe_saebench(x: Floats, y: Integers, x_test: Floats, y_test: Integers) -> Probes:
    """Train one as SAEBench 0.6.0 does, drawing from torch's global random numbers."""
    with torch.inference_mode(False), torch.enable_grad():
        rows, targets, rows_test = (torch.tensor(a, dtype=torch.float32) for a in (x, y, x_test))
        layer = torch.nn.Linear(rows.shape[1], 1)
        optimiser = torch.optim.AdamW(layer.parameters(), lr=LEARNING_RATE)
        best, best_accuracy = layer.state_dict(), 0.0
        for _ in range(EPOCHS):
            for batch in torch.split(torch.randperm(len(rows)), BATCH_TEXTS):
                loss = binary_cross_entropy_with_logits(layer(rows[batch]).squeeze(-1), targets[batch])
                optimiser.zero_grad()
                torch.autograd.backward(loss + L1_PENALTY * layer.weight.abs().sum())
                optimiser.step()
            accuracy = _accuracy(layer, rows_test, y_test)
            if accuracy > best_accuracy:
                best, best_accuracy = {k: v.clone() for k, v in layer.state_dict().items()}, accuracy
    return Probes(best["weight"].double().numpy(), best["bias"].double().numpy())


def _accuracy(layer: torch.nn.Linear, rows: Tensor, y: Integers) -> float:
    with torch.no_grad():
        return float(((layer(rows).squeeze(-1) > 0).numpy() == y).mean())
