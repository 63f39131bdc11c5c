"""One vector per document: the mean over its rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary


@dataclass(frozen=True)
class LabelledTexts:
    """Mean-pooled features of the labelled documents of one part of a corpus."""

    features: NDArray[np.float64]
    """(m, columns)"""
    activations: NDArray[np.float64]
    """(m, d)"""
    labels: NDArray[np.int64]
    """(m,)"""


def features_of(dictionary: Dictionary, x: Tensor) -> Tensor:
    """Non-negative features of x (n, d): the codes, with each sign a feature of its own where they take both."""
    codes = dictionary.encode(x)
    return split_signs(codes) if dictionary.traits.signed else codes


def pool(name: str, corpus: Corpus, dictionary: Dictionary, device: torch.device) -> dict[str, LabelledTexts]:
    """Mean over the rows of each labelled document of the activations and of their features, by split.

    Raises
    ------
    UnweaveError
        unless at least two classes have documents in both splits and every class is in both.
    """
    documents = Documents.of(corpus.tokens.docs)
    of_row = torch.from_numpy(documents.of_row).to(device)
    sums: list[Tensor] = []
    start = 0
    for block in corpus.activations.blocks():
        x = block.to(device)
        rows = of_row[start : start + len(block)]
        start += len(block)
        parts = (features_of(dictionary, x), x)
        sums = sums or [
            torch.zeros(len(documents.indices), p.shape[1], dtype=torch.float64, device=device) for p in parts
        ]
        for total, part in zip(sums, parts, strict=True):
            total.index_add_(0, rows, part.double())
    features, activations = (total.cpu().numpy() / documents.lengths[:, None] for total in sums)
    labels = np.asarray(corpus.labels)[documents.indices]
    splits = np.asarray(corpus.splits)[documents.indices]
    parts_of = {}
    for split in ("train", "test"):
        chosen = (splits == split) & (labels >= 0)
        parts_of[split] = LabelledTexts(features[chosen], activations[chosen], labels[chosen])
    classes = {split: set(part.labels.tolist()) for split, part in parts_of.items()}
    if len(classes["train"]) < 2 or classes["train"] != classes["test"]:
        raise UnweaveError(
            f"{name}: needs labelled texts of the same two or more classes in both splits, found classes "
            f"{sorted(classes['train'])} in train and {sorted(classes['test'])} in test: use split `all`, more texts"
        )
    return parts_of
