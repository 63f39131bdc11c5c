"""Difference of means: for each class, the direction from the mean of all other rows to the mean of its own.

The supervised baseline of the Semi-NMF paper (unit difference of the mean token activations of sentences that show a
concept and of sentences that do not). There the first (BOS) position of every sentence counts too: its massive
activation enters with weight 1 / length, so any difference in length between the two sets leaks into the direction.
Here the harvest has dropped first positions (`drop_positions`) before a method sees the rows.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.linear import LinearDictionary

BLOCK_ROWS = 8192
UNLABELLED = -1
NOISE = 1e-6
"""Differences shorter than this share of the mean row norm are rounding error of float32 rows."""


class Settings(Strict):
    """Settings of the difference of means."""

    weighting: Literal["token", "document"] = Field(
        default="token",
        description="what counts once in a mean: every token, or every document (the mean of its tokens)",
    )
    unit_atoms: bool = Field(
        default=True, description="scale each difference to unit norm; its length is in the diagnostics in any case"
    )


def row_weights(
    labels: NDArray[np.int64], documents: NDArray[np.integer] | None, weighting: Literal["token", "document"]
) -> Tensor:
    """Weight (n,) of each row in the mean of its class, float64: 0 without a label, 1, or 1 / rows of its document.

    Raises
    ------
    UnweaveError
        if documents are to be weighted and are not known.
    """
    weights = (labels != UNLABELLED).astype(np.float64)
    if weighting == "document":
        if documents is None:
            raise UnweaveError("weighting: document needs the document of each row: harvest a corpus, or use token")
        _, place, rows = np.unique(documents, return_inverse=True, return_counts=True)
        weights /= rows[place]
    return torch.from_numpy(weights)


def class_sums(activations: Activations, place: Tensor, weights: Tensor, classes: int) -> Tensor:
    """Weighted sums (classes, d) of the rows of each class, in float64; `place` (n,) is the index of a row's class."""
    sums = torch.zeros(classes, activations.d, dtype=torch.float64)
    start = 0
    for block in activations.blocks(BLOCK_ROWS):
        rows = slice(start, start + len(block))
        one_hot = torch.nn.functional.one_hot(place[rows], classes) * weights[rows, None]
        sums += one_hot.T @ block.to(torch.float64)
        start += len(block)
    return sums


def _known_classes(labels: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels (n,) and the sorted classes among them."""
    mend = "name a data set with `labels` and splits as the corpus"
    if labels is None:
        raise UnweaveError(f"difference of means needs the class of every document, and the corpus has none: {mend}")
    classes = np.unique(labels[labels != UNLABELLED])
    if len(classes) < 2:
        raise UnweaveError(
            f"difference of means needs at least 2 classes, the labelled rows have {len(classes)}: {mend}"
        )
    return labels, classes


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,  # noqa: ARG001
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """One atom per class; of two classes only the one of the higher label, because the other is its negative.

    atom = mean of the rows of the class - mean of all other labelled rows, and code = <x - center, atom> / |atom|^2, so
    that code * atom is the orthogonal projection of x - center; `center` is the (weighted) mean of the labelled rows.
    Atoms of three or more classes are neither orthogonal nor independent: decoding adds up their projections and is
    meant for steering along single ones. Rows labelled -1 are left out; `seed` has no effect.

    Diagnostics: `classes` (label of each atom), `rows` (per label), `difference_norms` (lengths of the differences) and
    `mean_row_norm`.

    Raises
    ------
    UnweaveError
        if there are no labels or fewer than two classes, documents are to be weighted and not known, a row is not
        finite, or a class has the mean of all others.
    """
    labels, classes = _known_classes(activations.labels)
    place = torch.from_numpy(np.searchsorted(classes, labels).clip(max=len(classes) - 1))
    weights = row_weights(labels, activations.documents, settings.weighting)
    sums = class_sums(activations, place, weights, len(classes))
    if not sums.isfinite().all():
        raise UnweaveError("NaN or infinite activations: harvest again with `store_dtype: float32`")
    mass = torch.zeros(len(classes), dtype=torch.float64).index_add_(0, place, weights)
    center = sums.sum(0) / mass.sum()
    others = (sums.sum(0) - sums) / (mass.sum() - mass)[:, None]
    differences = sums / mass[:, None] - others
    if len(classes) == 2:
        differences = differences[1:]
    atom_classes = classes[-len(differences) :]
    norms = differences.norm(dim=1)
    scale = activations.statistics(row_norm=False).mean_norm
    for label, norm in zip(atom_classes.tolist(), norms.tolist(), strict=True):
        if norm <= NOISE * scale:
            raise UnweaveError(f"class {label}: its mean activation is that of all others: give it other documents")
    directions = differences / norms[:, None]
    atoms, readers = (directions, directions) if settings.unit_atoms else (differences, directions / norms[:, None])
    rows = np.bincount(np.searchsorted(classes, labels[labels != UNLABELLED]), minlength=len(classes))
    return Fit(
        LinearDictionary.build(center.to(device), readers.to(device), atoms.to(device), row_norm=False),
        diagnostics={
            "classes": atom_classes.tolist(),
            "rows": dict(zip(map(str, classes.tolist()), rows.tolist(), strict=True)),
            "difference_norms": norms.tolist(),
            "mean_row_norm": scale,
        },
    )
