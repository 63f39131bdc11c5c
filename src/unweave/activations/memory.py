"""Activations that are one tensor."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import StatisticsAccumulator


class InMemoryActivations(Activations):
    """Rows x (n, d) of any float type and device."""

    def __init__(self, x: Tensor) -> None:
        self._x = x.detach().to("cpu", torch.float32)
        self.n, self.d = x.shape

    @override
    def slices(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        for start, stop in ranges:
            yield self._x[start:stop]

    @override
    def statistics(self, *, row_norm: bool) -> Statistics:
        accumulator = StatisticsAccumulator(self.d)
        accumulator.add_batch(self._x)
        return accumulator.compute(row_norm=row_norm)

    @override
    def rows(self) -> Tensor:
        return self._x
