"""Activations that are one tensor."""

from collections.abc import Iterator

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
    def blocks(self, size: int = 8192) -> Iterator[Tensor]:
        for start in range(0, self.n, size):
            yield self._x[start : start + size]

    @override
    def statistics(self, *, row_norm: bool) -> Statistics:
        accumulator = StatisticsAccumulator(self.d)
        accumulator.add_batch(self._x)
        return accumulator.compute(row_norm=row_norm)

    @override
    def rows(self) -> Tensor:
        return self._x
