"""The pass over the activations that every iteration makes, one neuron per line."""

from collections.abc import Iterator

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.errors import UnweaveError

CPU_BLOCK_TOKENS = 1024
"""Tokens of one block on a processor: the coefficients of a block stay in the cache while they are updated."""
GPU_BLOCK_TOKENS = 32768
"""Tokens of one block on a GPU: enough to fill it."""
READ_TOKENS = 8192
"""Tokens that are read at once, at least."""


class NeuronBlocks:
    """The activations as blocks x (d, b) of the paper's A, float32 and contiguous, in the same order in every pass.

    They are kept on the device if they fit into `memory_gb` and read again in every pass otherwise; both give the same
    blocks. `squared_norm` is ||A||_F^2 in float64: summed in float32, as the authors do on a processor, it comes out
    too small by 0.3 % at 3e7 entries and 2 % at 9e7.

    Raises
    ------
    UnweaveError
        if the activations hold NaN or infinite values, or are all zero.
    """

    def __init__(self, activations: Activations, memory_gb: float, device: torch.device) -> None:
        self.n, self.d = activations.n, activations.d
        self.device = device
        self._activations = activations
        self._kept: list[Tensor] | None = None
        resident = 4e-9 * self.n * self.d <= memory_gb
        kept = []
        squares = 0.0
        self.sizes: list[int] = []
        """Tokens of each block."""
        for x_db in self._read():
            self.sizes.append(x_db.shape[1])
            squares += float(torch.linalg.vector_norm(x_db, dtype=torch.float64) ** 2)
            if resident:
                kept.append(x_db)
        if not squares < torch.inf:
            raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider store_dtype")
        if squares == 0:
            raise UnweaveError("the activations are all zero: there is nothing to factorise; check site and layer")
        self.squared_norm = squares
        if resident:
            self._kept = kept

    def _read(self) -> Iterator[Tensor]:
        size = CPU_BLOCK_TOKENS if self.device.type == "cpu" else GPU_BLOCK_TOKENS
        for read in self._activations.blocks(max(size, READ_TOKENS)):
            for rows in torch.split(read, size):
                yield rows.to(self.device).T.contiguous()

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._kept) if self._kept is not None else self._read()

    def rows(self) -> Iterator[Tensor]:
        """Return the same blocks as rows (b, d)."""
        for x_db in self:
            yield x_db.T.contiguous()
