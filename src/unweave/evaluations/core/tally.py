"""One pass over a corpus, after which only sums by document and counts by feature are left."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.activations.source import Activations
from unweave.evaluations.core.firing import firing
from unweave.evaluations.core.rows import batch_measures, legacy_explained, row_measures
from unweave.evaluations.evaluation import Corpus
from unweave.methods.dictionary import Dictionary
from unweave.progress import meter

BATCH_ROWS = 2048
"""Tokens of a batch, on which explained variances of three libraries depend: 16 texts of 128, as in SAEBench's runs."""
ALL_POSITIONS, WITHOUT_FIRST = "all positions", "without the first position"

Floats = NDArray[np.float64]


def document_batches(docs: NDArray[np.integer], rows: int = BATCH_ROWS) -> Iterator[tuple[int, list[int]]]:
    """First row and rows of each document of batches of whole documents, from the document (n,) of each row.

    A batch is full once it has `rows` rows; less than half a batch at the end joins the one before.
    """
    starts = np.flatnonzero(np.diff(docs, prepend=docs[0] - 1))
    lengths = np.diff(starts, append=len(docs)).tolist()
    batches: list[list[int]] = [[]]
    for length in lengths:
        if sum(batches[-1]) >= rows:
            batches.append([])
        batches[-1].append(length)
    if len(batches) > 1 and 2 * sum(batches[-1]) < rows:
        batches[-2:] = [batches[-2] + batches[-1]]
    first = 0
    for batch in batches:
        yield first, batch
        first += sum(batch)


class Batch(NamedTuple):
    """Rows of whole documents, in order: `lengths` rows of each of them."""

    lengths: list[int]
    target: Tensor
    """(b, d) what is to be rebuilt."""
    y: Tensor
    """(b, d)"""
    codes: Tensor
    """(b, F)"""
    fires: Tensor
    """(b, features) bool."""

    def chosen(self, kept: Tensor) -> "Batch":
        """Only the rows where `kept` (b,) is true; a document may be left with none."""
        lengths = [int(part.sum()) for part in torch.split(kept, self.lengths)]
        device = kept.to(self.target.device)
        return Batch(lengths, *(rows[device] for rows in self[1:]))


class Tally:
    """Float64 sums over the rows of each of D documents, and integer counts of the firings of each feature.

    `add` takes batches in the order of the documents. Memory: D (d + 14) numbers and two for each feature.
    """

    def __init__(self, documents: int, d: int, features: int, device: torch.device) -> None:
        self.lengths: Floats = np.zeros(documents)
        self.sums: dict[str, Floats] = {}
        """Of `row_measures`, `explained_legacy` (`legacy_explained`) and `features` that fire on a row; each (D,)."""
        self.row_sums: Floats = np.zeros((documents, d))
        self.batches: dict[str, list[float]] = {}
        """`batch_measures` of each batch."""
        self.firings = torch.zeros(features, dtype=torch.int64, device=device)
        """(features,) tokens on which each fires."""
        self.documents_fired = torch.zeros(features, dtype=torch.int64, device=device)
        """(features,) documents in which each fires."""
        self._added = 0

    @property
    def n(self) -> int:
        """Rows so far."""
        return int(self.lengths.sum())

    def without_empty(self) -> Self:
        """Forget the documents of which no row was counted, and return the tally."""
        kept = self.lengths > 0
        self.sums = {name: values[kept] for name, values in self.sums.items()}
        self.lengths, self.row_sums = self.lengths[kept], self.row_sums[kept]
        return self

    def add(self, batch: Batch) -> None:
        """Take in the next documents."""
        documents = slice(self._added, self._added + len(batch.lengths))
        self._added = documents.stop
        self.lengths[documents] = batch.lengths
        if not len(batch.target):
            return
        of_row = torch.repeat_interleave(torch.tensor(batch.lengths))
        measures = row_measures(batch.target, batch.y, batch.codes)
        measures["explained_legacy"] = legacy_explained(batch.target, batch.y)
        measures["features"] = torch.linalg.vector_norm(batch.fires.float(), 1, dim=1).double()
        values = torch.stack(list(measures.values()), dim=1).cpu()
        sums = torch.zeros(len(batch.lengths), len(measures), dtype=torch.float64).index_add_(0, of_row, values)
        for name, column in zip(measures, sums.numpy().T, strict=True):
            self.sums.setdefault(name, np.zeros(len(self.lengths)))[documents] = column
        row_sums = torch.zeros(len(batch.lengths), batch.target.shape[1], dtype=torch.float64)
        self.row_sums[documents] = row_sums.index_add_(0, of_row, batch.target.cpu().double()).numpy()
        for name, value in batch_measures(batch.target, batch.y).items():
            self.batches.setdefault(name, []).append(value)
        for part in torch.split(batch.fires.view(torch.uint8), batch.lengths):
            counts = part.sum(dim=0, dtype=torch.int32)
            self.firings += counts
            self.documents_fired += counts > 0


def tallies(
    name: str,
    dictionary: Dictionary,
    corpus: Corpus,
    target: Activations,
    k: int,
    device: torch.device,
    batch_rows: int = BATCH_ROWS,
) -> dict[str, Tally]:
    """Tally of a corpus by which of its rows it counts.

    `target` are the rows (n, d) that decoding is to rebuild, `k` how many features fire on a token of a dense
    dictionary. All positions are counted only where the corpus has first positions: most harvests drop them.
    """
    tokens = corpus.tokens
    has_first = bool((tokens.positions == 0).any())
    documents = int(np.count_nonzero(np.diff(tokens.docs, prepend=tokens.docs[0] - 1)))
    features = dictionary.n_features // dictionary.traits.group_size
    found = {
        part: Tally(documents, target.d, features, device)
        for part in ([ALL_POSITIONS] if has_first else []) + [WITHOUT_FIRST]
    }
    batches = list(document_batches(tokens.docs, batch_rows))
    ranges = [(first, first + sum(lengths)) for first, lengths in batches]
    read = zip(batches, ranges, corpus.activations.slices(ranges), target.slices(ranges), strict=True)
    with meter(name, len(tokens.docs)) as advance:
        for (_, lengths), (start, stop), read_rows, target_rows in read:
            x = read_rows.to(device)
            codes = dictionary.encode(x)
            y = dictionary.decode(codes, like=x)
            batch = Batch(lengths, target_rows.to(device), y, codes, firing(dictionary, codes, k))
            if has_first:
                found[ALL_POSITIONS].add(batch)
                batch = batch.chosen(torch.from_numpy(tokens.positions[start:stop] != 0))
            found[WITHOUT_FIRST].add(batch)
            advance(stop - start)
    return {part: tally.without_empty() for part, tally in found.items()}
