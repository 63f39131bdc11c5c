"""Bits in the codes of tokens at one position (Binary Autoencoder, Section 4.2; arXiv 2509.20997).

For every position, the dictionary's own method is fitted anew to the tokens that stand there in the documents that have
all positions, and the entropy of its firing pattern is estimated as in `code_entropy` on documents that were not
fitted. The paper reads the rise of this entropy and its end as a bandwidth of the layer.

What else could make it rise stands beside it: the FVU, without which bits say nothing; the mean norm of the rows, with
which unscaled penalties weigh less; and two measures without any fit, signs of the principal components (`PCA signs`)
and the dimensions that the rows spread over. Intervals resample documents, with the codes as they are.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.refitted_entropy import entropy_scores, refit_of, refitted
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
        x = corpus.activations.taken(rows.ravel()).reshape(*rows.shape, -1)
        for position, at_position in zip(settings.positions, x, strict=True):
            train, test = at_position[:kept], at_position[kept:]
            found = refitted(refit, train, test, settings.replaced, settings.k, data.device)
            scores += entropy_scores(
                found, test, settings.k, seed, dataset=name, label="", x_name="position", at=position
            )
    return scores
