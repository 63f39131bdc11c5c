"""Whitening, and the pass over whitened rows that every iteration makes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.activations.source import Activations, Statistics
from unweave.errors import UnweaveError
from unweave.methods.ica.preparation import Preparation
from unweave.methods.principal_axes import principal_axes

READ_ROWS = 2048
"""Rows that are read from the store at once."""
CPU_BLOCK_ROWS = 1024
"""Rows of one matrix product on a processor: the block and its temporaries stay in the cache."""
GPU_BLOCK_ROWS = 32768
"""Rows of one matrix product on a GPU: enough to fill it."""
SAMPLED_ROWS = 256
"""Consecutive rows that a subsample takes at once: single rows would be read many times slower."""


@dataclass(frozen=True)
class Whitening:
    """z = matrix @ (x - mean) has zero mean and unit covariance over the n rows that it was computed from.

    Float64. Components are in descending order of variance, so leaving out the last ones keeps the greatest variance.
    """

    mean: Tensor
    """(d,)"""
    matrix: Tensor
    """K (q, d) = diag(1 / sqrt(eigenvalues)) @ axes"""
    inverse: Tensor
    """K+ (d, q), the exact pseudo-inverse of K"""


def whitening(statistics: Statistics, n_components: int | None, device: torch.device) -> Whitening:
    """Whitening onto the `n_components` directions of largest variance (all d if None).

    There is no ridge and no clipping: a covariance without that many directions is an error. A direction counts if its
    variance is above the float32 precision of the largest one, because statistics sum float32 products: below that, the
    eigenvalues of an exactly rank-deficient covariance are noise of either sign.

    Raises
    ------
    UnweaveError
        if there are too few rows, or they span too few directions.
    """
    d = len(statistics.mean)
    q = d if n_components is None else n_components
    if q > d:
        raise UnweaveError(f"ICA with n_components {q} on activations of width {d}: set n_components to {d} at most")
    eigenvalues, axes = principal_axes(statistics, device)
    floor = torch.finfo(torch.float32).eps * eigenvalues[0]
    rank = min(int((eigenvalues > floor).sum()), statistics.n - 1)
    if rank < q:
        raise UnweaveError(
            f"ICA of {q} components: the {statistics.n} tokens span only {rank} directions in float32 precision: use "
            f"at least {q + 1} tokens, drop outlying rows (max_norm_ratio) or set n_components to {rank} at most"
        )
    deviations = eigenvalues[:q].sqrt()
    return Whitening(
        mean=torch.from_numpy(statistics.mean).to(device),
        matrix=axes[:q] / deviations[:, None],
        inverse=axes[:q].T * deviations,
    )


class WhitenedRows:
    """The whitened rows z (n, q) in float32 or bfloat16, one block at a time.

    They are whitened in float32 once, rounded to `dtype` and kept on the device if they fit into `memory_gb`; otherwise
    each pass reads the activations again. Both give the same blocks.
    """

    def __init__(
        self,
        activations: Activations,
        whitening: Whitening,
        preparation: Preparation,
        *,
        memory_gb: float,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.n = activations.n
        self.n_components = whitening.matrix.shape[0]
        self.dtype = dtype
        self._activations = activations
        self._preparation = preparation
        self._device = device
        self._mean = whitening.mean.float()
        self._matrix_t = whitening.matrix.float().T
        self.resident = 1e-9 * dtype.itemsize * self.n * self.n_components <= memory_gb
        self._kept: Tensor | None = None

    def _read(self, ranges: Iterable[tuple[int, int]]) -> Iterator[Tensor]:
        for block in self._activations.slices(ranges):
            prepared = self._preparation(block.to(self._device))
            yield ((prepared - self._mean) @ self._matrix_t).to(self.dtype)

    def _ranges(self, size: int) -> list[tuple[int, int]]:
        return [(start, min(start + size, self.n)) for start in range(0, self.n, size)]

    def _keep(self) -> Tensor:
        if self._kept is None:
            kept = torch.empty(self.n, self.n_components, dtype=self.dtype, device=self._device)
            start = 0
            for block in self._read(self._ranges(READ_ROWS)):
                kept[start : start + len(block)] = block
                start += len(block)
            self._kept = kept
        return self._kept

    def blocks(self, n_components: int | None = None) -> Iterator[Tensor]:
        """Consecutive blocks (b, n_components) of the leading components (all of them if None)."""
        size = CPU_BLOCK_ROWS if self._device.type == "cpu" else GPU_BLOCK_ROWS
        for rows in [self._keep()] if self.resident else self._read(self._ranges(READ_ROWS)):
            for start in range(0, len(rows), size):
                yield rows[start : start + size, :n_components]

    def sample(self, n: int, n_components: int, seed: int) -> Tensor:
        """Rows (about n, n_components) of the leading components: whole blocks drawn by `seed`, in stored order."""
        ranges = self._ranges(SAMPLED_ROWS)
        order = torch.randperm(len(ranges), generator=torch.Generator().manual_seed(seed))
        chosen = [ranges[i] for i in sorted(order[: -(-n // SAMPLED_ROWS)].tolist())]
        blocks = (self._keep()[start:stop] for start, stop in chosen) if self.resident else self._read(chosen)
        size = sum(stop - start for start, stop in chosen)
        drawn = torch.empty(size, n_components, dtype=self.dtype, device=self._device)
        filled = 0
        for block in blocks:
            drawn[filled : filled + len(block)] = block[:, :n_components]
            filled += len(block)
        return drawn
