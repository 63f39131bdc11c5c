"""Activations that are one tensor."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations, Statistics
from unweave.activations.statistics import MomentAccumulator


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
        accumulator.add_batch((row_normalised(self._x) if row_norm else self._x).numpy())
        mean, covariance = accumulator.compute()
        return Statistics(self.n, mean, covariance, float(self._x.norm(dim=1).mean(dtype=torch.float64)))

    @override
    def rows(self) -> Tensor:
        return self._x
