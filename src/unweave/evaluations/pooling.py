"""One vector per document: the mean over its rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledTexts:
    """Mean-pooled features of the labelled documents of one part of a corpus."""

    features: Floats
    """(m, columns)"""
    activations: Floats
    """(m, d)"""
    labels: NDArray[np.int64]
    """(m,)"""
    lengths: Floats
    """(m,) rows of each document."""

    def chosen(self, documents: NDArray[np.bool_]) -> Self:
        """Keep the documents where the mask (m,) is true."""
        return type(self)(*(getattr(self, field.name)[documents] for field in fields(self)))


def means_of_documents(
    activations: Sequence[Activations],
    documents: Documents,
    parts: Callable[..., Sequence[Tensor]],
    device: torch.device,
) -> list[Floats]:
    """Mean over the rows of each document of every part: `parts` of blocks (n, d) of all `activations` are (n, ...)."""
    of_row = torch.from_numpy(documents.of_row).to(device)
    sums: list[Tensor] = []
    start = 0
    for blocks in zip(*(source.blocks() for source in activations), strict=True):
        values = parts(*(block.to(device) for block in blocks))
        rows = of_row[start : start + len(blocks[0])]
        start += len(rows)
        sums = sums or [
            torch.zeros(len(documents.indices), *v.shape[1:], dtype=torch.float64, device=device) for v in values
        ]
        for total, value in zip(sums, values, strict=True):
            total.index_add_(0, rows, value.double())
    lengths = torch.from_numpy(documents.lengths).to(device)
    return [(total / lengths.reshape(-1, *[1] * (total.ndim - 1))).cpu().numpy() for total in sums]


def split_masks(name: str, corpus: Corpus, documents: Documents) -> dict[str, NDArray[np.bool_]]:
    """Which documents (D,) are labelled texts of each split.

    Raises
    ------
    UnweaveError
        unless at least two classes have documents in both splits and every class is in both.
    """
    labels = np.asarray(corpus.labels)[documents.indices]
    splits = np.asarray(corpus.splits)[documents.indices]
    masks = {split: (splits == split) & (labels >= 0) for split in ("train", "test")}
    classes = {split: set(labels[mask].tolist()) for split, mask in masks.items()}
    if len(classes["train"]) < 2 or classes["train"] != classes["test"]:
        raise UnweaveError(
            f"{name}: needs labelled texts of the same two or more classes in both splits, found classes "
            f"{sorted(classes['train'])} in train and {sorted(classes['test'])} in test: use split `all`, more texts"
        )
    return masks


def pool(
    name: str, corpus: Corpus, dictionary: Dictionary, device: torch.device, *, split_signed: bool = True
) -> dict[str, LabelledTexts]:
    """Mean over the rows of each labelled document of the activations and of their codes, by split.

    Codes that take both signs are split into two features each, unless `split_signed` is false.

    Raises
    ------
    UnweaveError
        unless at least two classes have documents in both splits and every class is in both.
    """
    documents = Documents.of(corpus.tokens.docs)
    masks = split_masks(name, corpus, documents)
    split = split_signed and dictionary.traits.signed

    def parts(x: Tensor) -> tuple[Tensor, Tensor]:
        codes = dictionary.encode(x)
        return split_signs(codes) if split else codes, x

    features, activations = means_of_documents([corpus.activations], documents, parts, device)
    labels = np.asarray(corpus.labels)[documents.indices]
    texts = LabelledTexts(features, activations, labels, documents.lengths)
    return {split: texts.chosen(mask) for split, mask in masks.items()}
