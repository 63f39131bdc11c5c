"""Streaming moments of activation rows, accumulated in float64."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Statistics

BLOCK_ROWS = 4096


class MomentAccumulator:
    """Mean and covariance of rows x_1..x_n of width d, seen once.

    With s the mean of the first block, S = sum of (x_i - s) and G = sum of (x_i - s)(x_i - s)^T:

        mean = s + S / n        covariance = G / n - (S / n)(S / n)^T

    The shift keeps the two terms of the covariance from cancelling when the mean is far from zero. S and G are float64
    sums of float32 sums over at most 4096 rows: covariance (i, j) is within about 1e-5 * sd_i * sd_j of pure float64.
    """

    def __init__(self, d: int) -> None:
        self.n = 0
        self._shift = np.zeros(d, dtype=np.float32)
        self._sum = np.zeros(d)
        self._gram = np.zeros((d, d))

    def add_batch(self, x: NDArray[np.float32]) -> None:
        """Take in rows (b, d)."""
        for start in range(0, len(x), BLOCK_ROWS):
            block = x[start : start + BLOCK_ROWS]
            if self.n == 0:
                self._shift = block.mean(axis=0, dtype=np.float64).astype(np.float32)
            shifted = block - self._shift
            self._sum += shifted.sum(axis=0)
            self._gram += shifted.T @ shifted
            self.n += len(block)

    def compute(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,) and covariance (d, d), the latter divided by n, of the rows so far (at least one)."""
        offset = self._sum / self.n
        return self._shift + offset, self._gram / self.n - np.outer(offset, offset)


class StatisticsAccumulator:
    """`Statistics` of rows of width d and of the same rows scaled to unit norm, seen once."""

    def __init__(self, d: int) -> None:
        self._raw = MomentAccumulator(d)
        self._normalised = MomentAccumulator(d)
        self._norm_sum = 0.0

    def add_batch(self, x: Tensor) -> None:
        """Take in float32 rows (b, d) on the CPU."""
        self._raw.add_batch(x.numpy())
        self._normalised.add_batch(row_normalised(x).numpy())
        self._norm_sum += float(x.norm(dim=1).sum(dtype=torch.float64))

    def compute(self, *, row_norm: bool) -> Statistics:
        """Moments of the rows so far (at least one), or of those rows scaled to unit norm."""
        moments = self._normalised if row_norm else self._raw
        mean, covariance = moments.compute()
        return Statistics(moments.n, mean, covariance, self._norm_sum / moments.n)
