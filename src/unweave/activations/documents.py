"""Which documents of a data set a model reads, as tokens, and in which batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import datasets
import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from unweave.config import CorpusSettings
from unweave.errors import UnweaveError

TEXTS_AT_ONCE = 16
"""Texts of one call of the tokenizer, which works on them in parallel."""


class Document(NamedTuple):
    """Token ids of one document and its row in the data set."""

    row: int
    ids: list[int]


def select_rows(dataset: datasets.Dataset, corpus: CorpusSettings) -> NDArray[np.int64]:
    """Rows of the documents that the corpus may use, in stored order.

    `documents_per_label` documents are drawn at random for each split and label, because neighbours in a data set often
    come from one source and are no independent sample.

    Raises
    ------
    UnweaveError
        if there are none.
    """
    splits, labels = np.asarray(dataset["split"]), np.asarray(dataset["label"])
    chosen = np.ones(len(dataset), dtype=bool) if corpus.split == "all" else splits == corpus.split
    if corpus.documents_per_label is not None:
        drawn = np.zeros(len(dataset), dtype=bool)
        rng = np.random.default_rng(corpus.seed)
        for split in np.unique(splits):
            for label in np.unique(labels):
                candidates = np.flatnonzero((splits == split) & (labels == label))
                drawn[rng.permutation(candidates)[: corpus.documents_per_label]] = True
        chosen &= drawn
    if not chosen.any():
        raise UnweaveError(f"data set {corpus.dataset} has no document in split {corpus.split!r}: choose another split")
    return np.flatnonzero(chosen)


def tokenised(
    dataset: datasets.Dataset, rows: Sequence[int] | NDArray[np.int64], tokenizer: PreTrainedTokenizerBase, context: int
) -> Iterator[Document]:
    """Documents cut to `context` tokens, as the tokenizer makes them.

    A tokenizer that puts a BOS token before every text does so here too; nothing else is added.
    """
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = [int(row) for row in rows[start : start + TEXTS_AT_ONCE]]
        yield from map(
            Document, some, tokenizer(dataset[some]["text"], truncation=True, max_length=context)["input_ids"]
        )


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a BOS token before every text."""
    return tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]


def length_bucketed(lengths: list[int], batch_tokens: int) -> Iterator[list[int]]:
    """Divide documents into batches of similar length, longest first; yields their indices.

    A batch padded to its longest document holds at most `batch_tokens` tokens, or one document.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // lengths[order[start]])
        yield order[start : start + size]
        start += size
