"""Activations that are one tensor."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import BLOCK_ROWS, MomentAccumulator


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
        accumulator = MomentAccumulator(self.d)
        norm_sum = 0.0
        for block in torch.split(self._x, BLOCK_ROWS):
            accumulator.add_batch((row_normalised(block) if row_norm else block).numpy())
            norm_sum += float(block.norm(dim=1).sum(dtype=torch.float64))
        mean, covariance = accumulator.compute()
        return Statistics(self.n, mean, covariance, norm_sum / self.n)

    @override
    def rows(self) -> Tensor:
        return self._x
