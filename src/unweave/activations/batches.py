"""Shuffled minibatches of stored activations, for methods that are trained by gradient descent."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.errors import UnweaveError

CHUNK_ROWS = 1024
"""Consecutive rows that are read at once: single rows would be read fifty times slower."""
POOL_CHUNKS = 64
"""Chunks from all over the file that are shuffled together in memory."""


class Batch(NamedTuple):
    """Rows of one step."""

    x: Tensor
    """(B, d) what is read."""
    target: Tensor
    """(B, d') what is to be rebuilt: x itself, or the same tokens at another site."""


class Batches:
    """Endless minibatches of `size` rows: every epoch shows each row once, in an order drawn from (seed, epoch).

    Rows that do not fill a last batch are left out of their epoch. Rows that fit into `memory_gb` are kept on the
    device and permuted as a whole. Larger data is read in chunks of 1024 rows whose order is permuted, and 64 chunks at
    a time are shuffled together in memory. The batches from step t on do not depend on what was read before. `targets`
    are the same tokens at another site, which a transcoder rebuilds.

    Raises
    ------
    UnweaveError
        if there are fewer rows than one batch.
    """

    def __init__(
        self,
        activations: Activations,
        size: int,
        seed: int,
        device: torch.device,
        memory_gb: float = 4.0,
        targets: Activations | None = None,
    ) -> None:
        if activations.n < size:
            raise UnweaveError(
                f"batches of {size} rows need more than the {activations.n} tokens there are: lower batch_size or "
                "harvest more tokens"
            )
        self.size = size
        self.per_epoch = activations.n // size
        self._sources = [activations] if targets is None else [activations, targets]
        self._seed = seed
        self._device = device
        self.resident = 4e-9 * activations.n * sum(source.d for source in self._sources) <= memory_gb
        self._kept: list[Tensor] | None = None

    def _permutation(self, n: int, *key: int) -> Tensor:
        # A mixed seed: nearby (seed, epoch) pairs must not share a stream.
        mixed = int(np.random.SeedSequence([self._seed, *key]).generate_state(1, np.uint64)[0]) >> 1
        return torch.randperm(n, generator=torch.Generator().manual_seed(mixed))

    def starting_at(self, step: int) -> Iterator[Batch]:
        """Batches from step `step` (0 is the first) on, without end."""
        epoch, skipped = divmod(step, self.per_epoch)
        buffers = [] if self.resident else self._empty_pool()
        while True:
            pieces = self._kept_epoch(epoch, skipped) if self.resident else self._read_epoch(epoch, skipped, buffers)
            for tensors in pieces:
                yield Batch(tensors[0], tensors[-1])
            epoch, skipped = epoch + 1, 0

    def _kept_epoch(self, epoch: int, skipped: int) -> Iterator[list[Tensor]]:
        if self._kept is None:
            self._kept = [source.rows().to(self._device) for source in self._sources]
        order = self._permutation(self._sources[0].n, epoch).to(self._device)
        for index in range(skipped, self.per_epoch):
            chosen = order[index * self.size : (index + 1) * self.size]
            yield [rows[chosen] for rows in self._kept]

    def _read_epoch(self, epoch: int, skipped: int, buffers: list[Tensor]) -> Iterator[list[Tensor]]:
        n = self._sources[0].n
        starts = (CHUNK_ROWS * self._permutation(-(-n // CHUNK_ROWS), epoch)).tolist()
        pools = [
            [(start, min(start + CHUNK_ROWS, n)) for start in starts[i : i + POOL_CHUNKS]]
            for i in range(0, len(starts), POOL_CHUNKS)
        ]
        to_skip, left = skipped * self.size, self.per_epoch - skipped
        waiting: list[Tensor] = []
        for number, ranges in enumerate(pools):
            rows = sum(stop - start for start, stop in ranges)
            if to_skip >= rows:
                to_skip -= rows
                continue
            order = self._permutation(rows, epoch, number)[to_skip:]
            to_skip = 0
            pool = self._pool(ranges, buffers)
            # The first batch begins with what the last pool left over.
            taken = -len(waiting[0]) if waiting else 0
            while left and taken + self.size <= len(order):
                chosen = order[max(taken, 0) : taken + self.size]
                batch = [part[chosen] for part in pool]
                if taken < 0:
                    batch = [torch.cat(pair) for pair in zip(waiting, batch, strict=True)]
                yield [part.to(self._device) for part in batch]
                taken += self.size
                left -= 1
            rest = [part[order[max(taken, 0) :]] for part in pool]
            waiting = rest if taken >= 0 else [torch.cat(pair) for pair in zip(waiting, rest, strict=True)]

    def _empty_pool(self) -> list[Tensor]:
        rows = min(POOL_CHUNKS * CHUNK_ROWS, self._sources[0].n)
        return [torch.empty(rows, source.d) for source in self._sources]

    def _pool(self, ranges: list[tuple[int, int]], buffers: list[Tensor]) -> list[Tensor]:
        """Rows of `ranges` of each source, in memory that the next pool is read into as well."""
        filled = []
        for buffer, source in zip(buffers, self._sources, strict=True):
            end = 0
            for block in source.slices(ranges):
                buffer[end : end + len(block)] = block
                end += len(block)
            filled.append(buffer[:end])
        return filled
