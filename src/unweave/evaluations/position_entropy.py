"""Bits in the codes of tokens at one position (Binary Autoencoder, Section 4.2; arXiv 2509.20997).

For every position, the dictionary's own method is fitted anew to the tokens that stand there in the documents that have
all positions, and the entropy of its firing pattern is estimated as in `code_entropy` on documents that were not
fitted. The paper reads the rise of this entropy and its end as a bandwidth of the layer.

What else could make it rise stands beside it: the FVU, without which bits say nothing; the mean norm of the rows, with
which unscaled penalties weigh less; and two measures without any fit, signs of the principal components (`PCA signs`)
and the dimensions that the rows spread over. Intervals resample documents, with the codes as they are.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.code_entropy import bits_of, summed_interval
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.refitted_entropy import Refitted, participation_ratio, pca_signs, refit_of, refitted
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

HELD_OUT = 0.2
FEWEST = 50
"""Documents that estimates need at least."""

Integers = NDArray[np.int64]


class Settings(Strict):
    """Settings of entropy by position; it takes all documents that have every position."""

    positions: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2)] = Field(
        default=[1, 2, 4, 8, 16, 32], description="places in a document, from 0"
    )
    k: Annotated[int, Field(ge=1)] = Field(
        default=32, description="features that fire on a token of a dense dictionary, and signs of principal components"
    )
    replaced: dict[str, Any] = Field(
        default={"tokens": 100_000, "expansion": 1, "batch_size": 256},
        description="settings of the method that take other values here, where it has them",
    )


def rows_at(corpus: Corpus, positions: list[int]) -> Integers:
    """Find the stored row (P, D) of each position in every document that has them all."""
    tokens = corpus.tokens
    found = [np.flatnonzero(tokens.positions == position) for position in positions]
    shared = found[0]
    documents = tokens.docs[shared]
    for rows in found[1:]:
        documents = np.intersect1d(documents, tokens.docs[rows])
    return np.array([rows[np.isin(tokens.docs[rows], documents)] for rows in found], dtype=np.int64)


def gathered(corpus: Corpus, rows: Integers) -> Tensor:
    """Activations (len(rows), d) of stored rows, read in one pass."""
    places = torch.from_numpy(np.sort(rows))
    kept, start = [], 0
    for block in corpus.activations.blocks():
        inside = places[(places >= start) & (places < start + len(block))] - start
        kept.append(block[inside])
        start += len(block)
    return torch.cat(kept)[torch.from_numpy(np.argsort(np.argsort(rows)))]


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Estimates of the entropy and what goes with it against the position, for every corpus.

    Raises
    ------
    UnweaveError
        if the method cannot be fitted anew, or a corpus has too few documents of that length.
    """
    refit = refit_of(dictionary, data)
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        rows = rows_at(corpus, settings.positions)
        documents = rows.shape[1]
        kept = round((1 - HELD_OUT) * documents)
        if documents < FEWEST:
            raise UnweaveError(
                f"{name}: {documents} documents have tokens at all of the positions "
                f"{', '.join(map(str, settings.positions))}: use more or longer text, or fewer `positions`"
            )
        x = gathered(corpus, rows.ravel()).reshape(*rows.shape, -1)
        for position, at_position in zip(settings.positions, x, strict=True):
            found = refitted(refit, at_position[:kept], at_position[kept:], settings.replaced, settings.k, data.device)
            scores += _scores(name, position, at_position[kept:], found, settings.k, seed)
    return scores


def _scores(name: str, position: int, x: Tensor, found: Refitted, k: int, seed: int) -> Iterator[Score]:
    each = Documents.of(np.arange(len(x)))
    low, high = summed_interval(found.fires, each, found.bits.summed, seed)
    signs = bits_of(pca_signs(x, min(k, x.shape[1])))

    def score(
        metric: str,
        value: float,
        unit: str = "bits",
        label: str = "",
        better: bool | None = None,
        interval: tuple[float | None, float | None] = (None, None),
    ) -> Score:
        return Score(
            metric=metric,
            value=value,
            dataset=name,
            n=len(x),
            unit=unit,
            higher_is_better=better,
            ci_low=interval[0],
            ci_high=interval[1],
            x_name="position",
            x=position,
            label=label,
            seed=seed,
        )

    yield score("entropy_sum", found.bits.summed, interval=(low, high))
    yield score("entropy_chow_liu", found.bits.chow_liu)
    yield score("entropy_joint", found.bits.joint)
    yield score("fvu", found.fvu, "1", better=False)
    yield score("entropy_sum", signs.summed, label="PCA signs")
    yield score("entropy_chow_liu", signs.chow_liu, label="PCA signs")
    yield score("norm", float(x.norm(dim=1).mean()), "activation")
    yield score("dimensions", participation_ratio(x), "dimensions")
