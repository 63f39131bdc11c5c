"""What a method or an evaluation reads activations through, whether they lie in memory or on disk."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Statistics:
    """Moments of n rows in float64."""

    n: int
    mean: NDArray[np.float64]
    """(d,)"""
    covariance: NDArray[np.float64]
    """(d, d), divided by n"""
    mean_norm: float
    """Mean Euclidean norm of the raw rows."""


class Activations(ABC):
    """n rows of d activations of one model, site and layer."""

    n: int
    d: int
    site: str = ""
    """Where in a block they were captured."""
    layer: int | None = None
    """Zero-based block, where there is one."""
    targets: "Activations | None" = None
    """The same n tokens at another site, for a method that rebuilds that site from this one (a transcoder)."""
    labels: NDArray[np.int64] | None = None
    """(n,) class of the document of each row, for a supervised method."""
    documents: NDArray[np.integer] | None = None
    """(n,) document of each row, where they are known."""

    @abstractmethod
    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        """Float32 rows (stop - start, d) on the CPU, for each range (start, stop) of stored rows."""

    def blocks(self, size: int = 8192) -> Iterator[Tensor]:
        """Consecutive float32 blocks (at most `size`, d) on the CPU, in stored order."""
        return self.slices((start, min(start + size, self.n)) for start in range(0, self.n, size))

    @abstractmethod
    def statistics(self, *, row_norm: bool) -> Statistics:
        """Moments of the rows, or of the rows scaled to unit norm."""

    def taken(self, rows: NDArray[np.int64]) -> Tensor:
        """Take the rows (len(rows), d) of the given indices, in their order, in one pass."""
        order = np.argsort(rows, kind="stable")
        ascending = torch.from_numpy(rows[order])
        kept, start = [], 0
        for block in self.blocks():
            first, last = torch.searchsorted(ascending, torch.tensor([start, start + len(block)])).tolist()
            kept.append(block[ascending[first:last] - start])
            start += len(block)
        taken = torch.cat(kept)
        return taken if (np.diff(rows) >= 0).all() else taken[torch.from_numpy(np.argsort(order))]

    def rows(self) -> Tensor:
        """All rows (n, d) as one float32 tensor."""
        return torch.cat(list(self.blocks()))
