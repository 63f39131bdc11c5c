"""Points of one concept that fills a few dimensions of an activation (Subspace-Aware SAE, Figure 1)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Shape = Literal["circle", "sphere", "hypersphere", "helix"]

DIMENSIONS: dict[Shape, int] = {"circle": 2, "sphere": 3, "hypersphere": 4, "helix": 3}
TURNS = 2
"""Of the helix about its axis."""


@dataclass(frozen=True)
class Manifold:
    """A shape in an orthonormal basis (m, d), float64, of its subspace."""

    shape: Shape
    basis: Tensor
    seed: int

    @classmethod
    def planted(cls, shape: Shape, d: int, seed: int) -> "Manifold":
        """In a random subspace of d dimensions."""
        drawn = np.random.default_rng([seed, 0]).standard_normal((d, DIMENSIONS[shape]))
        return cls(shape, torch.linalg.qr(torch.from_numpy(drawn))[0].T, seed)

    @property
    def round(self) -> bool:
        """Every direction of the subspace occurs, all equally often."""
        return self.shape != "helix"

    def points(self, n: int, stream: int, noise: float = 0.0) -> Tensor:
        """Draw n points (n, d), float32, of mean square 1, and noise of that standard deviation in each coordinate.

        Another `stream` is an independent sample.
        """
        rng = np.random.default_rng([self.seed, 1, stream])
        m, d = self.basis.shape
        if self.round:
            z = rng.standard_normal((n, m))
            z /= np.linalg.norm(z, axis=1, keepdims=True)
        else:
            t = rng.uniform(-1, 1, n)
            theta = np.pi * TURNS * t
            # A cylinder of radius sqrt(2/3) and of half its height 1 has mean square 2/3 + 1/3.
            z = np.stack([np.sqrt(2 / 3) * np.cos(theta), np.sqrt(2 / 3) * np.sin(theta), t], axis=1)
        x = torch.from_numpy(z) @ self.basis
        return (x + noise * torch.from_numpy(rng.standard_normal((n, d)))).float()
