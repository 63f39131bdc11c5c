"""The published semi-NMF, written anew from its formulas: everything dense, in float32, and kept twice.

Each iteration inverts Y Y^T, rebuilds all activations to measure the error with `torch.norm`, and copies both factors
whenever that error is a new best.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

RIDGE = DENOMINATOR = 1e-6
TOLERANCE = 1e-4


def parts(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Positive and negative part, both non-negative."""
    size = matrix.abs()
    return (size + matrix) / 2, (size - matrix) / 2


@dataclass
class PublishedFit:
    """The state of a fit: activations (d, n), features (d, k), coefficients (n, k), and the best pair so far."""

    activations: Tensor
    coefficients: Tensor
    kept: int
    """Neurons of each feature."""
    best: float = float("inf")
    best_pair: tuple[Tensor, Tensor] = field(init=False)

    def step(self) -> float:
        """Make one iteration and return ||A - Z Y||_F^2 as float32 measures it."""
        g = self.coefficients
        gram = g.T @ g
        z = self.activations @ g @ torch.linalg.inv(gram + RIDGE * torch.eye(len(gram)))
        threshold = z.abs().topk(self.kept, dim=0).values[-1]
        z = z * (z.abs() >= threshold)
        norms = g.norm(dim=0).clamp_min(1e-8)
        g, z = g / norms, z * norms
        positive_b, negative_b = parts(self.activations.T @ z)
        positive_q, negative_q = parts(z.T @ z)
        self.coefficients = g * torch.sqrt((positive_b + g @ negative_q) / (negative_b + g @ positive_q + DENOMINATOR))
        error = float(torch.norm(self.activations - z @ self.coefficients.T, "fro") ** 2)
        if error < self.best - TOLERANCE:
            self.best = error
            self.best_pair = (z.clone(), self.coefficients.clone())
        return error

    def relative_error(self) -> float:
        """Squared error of the best pair as a share of ||A||^2, in float64."""
        z, g = self.best_pair
        squares = residual = 0.0
        for a, rows in zip(self.activations.split(4096, dim=1), g.split(4096), strict=True):
            squares += float(a.double().square().sum())
            residual += float((a.double() - z.double() @ rows.double().T).square().sum())
        return residual / squares


def start(activations: Tensor, k: int, kept: int, seed: int = 0) -> PublishedFit:
    """Uniform coefficients, as published."""
    generator = torch.Generator().manual_seed(seed)
    coefficients = torch.rand(activations.shape[1], k, generator=generator).clamp_min(1e-6)
    return PublishedFit(activations, coefficients, kept)
