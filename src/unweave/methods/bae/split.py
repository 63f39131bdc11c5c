"""The split of stored rows into those that are trained on and those that are measured, and their scale."""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import StatisticsAccumulator
from unweave.errors import UnweaveError


class RowRange(Activations):
    """Rows `start` to `stop` (exclusive) of other activations."""

    def __init__(self, source: Activations, start: int, stop: int) -> None:
        self._source, self._start = source, start
        self.n, self.d, self.site = stop - start, source.d, source.site

    @override
    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        return self._source.slices((self._start + start, self._start + stop) for start, stop in ranges)

    @override
    def statistics(self, *, row_norm: bool) -> Statistics:
        accumulator = StatisticsAccumulator(self.d)
        for block in self.blocks():
            accumulator.add_batch(block)
        return accumulator.compute(row_norm=row_norm)


def split(activations: Activations, validation_fraction: float) -> tuple[RowRange, RowRange]:
    """Split off the last rows, in stored order as in the released code; without any, both parts are all rows."""
    n = activations.n
    trained = n - int(validation_fraction * n)
    return RowRange(activations, 0, trained), RowRange(activations, trained if trained < n else 0, n)


def joint_scale(activations: Activations) -> float:
    """Root of the mean variance of the coordinates: rows divided by it have variance 1 per coordinate on average.

    Raises
    ------
    UnweaveError
        if a number is NaN or infinite, or all rows are equal.
    """
    first = next(iter(activations.slices([(0, 1)])))
    total = torch.zeros(activations.d, dtype=torch.float64)
    squares = torch.zeros(activations.d, dtype=torch.float64)
    for block in activations.blocks():
        shifted = block - first
        total += shifted.sum(0, dtype=torch.float64)
        squares += shifted.square().sum(0, dtype=torch.float64)
    n = activations.n
    variance = float((squares / n - (total / n).square()).mean())
    if not math.isfinite(variance):
        raise UnweaveError("activations hold NaN or infinite numbers: harvest them again without those rows")
    if variance <= 0:
        raise UnweaveError(f"all {n} rows of the activations are equal: there is nothing to encode")
    return math.sqrt(variance)
