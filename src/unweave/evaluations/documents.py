"""Sums over the rows of each document: the unit that intervals resample and that probes pool over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Documents:
    """The distinct documents of n rows."""

    indices: NDArray[np.int64]
    """(D,) ascending index of each document in the data set."""
    of_row: NDArray[np.int64]
    """(n,) position in `indices` of each row's document."""

    @classmethod
    def of(cls, docs: NDArray[np.integer]) -> "Documents":
        """From the document index (n,) of each row."""
        indices, of_row = np.unique(docs.astype(np.int64), return_inverse=True)
        return cls(indices, of_row)

    @property
    def lengths(self) -> NDArray[np.float64]:
        """(D,) rows of each document."""
        return self.sums(np.ones(len(self.of_row)))

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """(D,) sum of `values` (n,) over the rows of each document."""
        return np.bincount(self.of_row, weights=values, minlength=len(self.indices)).astype(np.float64)
