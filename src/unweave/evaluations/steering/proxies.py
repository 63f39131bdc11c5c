"""Ratings of continuations without a judge: whether they are fluent, and about what the direction raises.

Both go from 0 to 2, as the paper's judge does, and are combined by their harmonic mean, which is 0 if either is 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NGRAM = 4
MOST_REPEATED = 0.5


def repetition(tokens: Integers) -> Floats:
    """Share (B,) of the 4-grams of each continuation (B, T) that occurred before in it."""
    shares = []
    for row in tokens:
        grams = [tuple(row[i : i + NGRAM]) for i in range(len(row) - NGRAM + 1)]
        shares.append(1 - len(set(grams)) / len(grams) if grams else 0.0)
    return np.array(shares)


@dataclass(frozen=True)
class Anchors:
    """Losses of unsteered continuations, as they are and with their tokens shuffled, and how much they repeat."""

    fluent: float
    broken: float
    repeated: float


def fluency(losses: Floats, repeated: Floats, anchors: Anchors) -> Floats:
    """Rate (B,) from 0 to 2: how far the loss is from that of shuffled tokens, less what is mere repetition.

    Low losses can be those of a loop, so 4-grams that repeat more than in unsteered text take away up to all of it.
    """
    span = max(anchors.broken - anchors.fluent, 1e-9)
    close = np.clip((anchors.broken - losses) / span, 0, 1)
    looped = np.clip((0.5 - np.maximum(0, repeated - anchors.repeated)) / 0.5, 0, 1)
    rated: Floats = 2 * close * looped
    return rated


def hit_rates(tokens: Integers, vocabulary: Integers) -> Floats:
    """Share (B,) of the tokens of each continuation (B, T) that are in the vocabulary."""
    rates: Floats = np.isin(tokens, vocabulary).mean(axis=1)
    return rates


def concept(tokens: Integers, vocabulary: Integers, unsteered: Integers) -> Floats:
    """Rate (B,) continuations (B, T) by the tokens of `vocabulary`, against unsteered ones.

    0 up to the 95th percentile of their rate; 2 above the 99th if two different places hit and no single token makes up
    more than half of the hits; 1 in between.
    """
    rates, base = hit_rates(tokens, vocabulary), hit_rates(unsteered, vocabulary)
    some, much = np.quantile(base, [0.95, 0.99])
    rated = np.where(rates > some, 1.0, 0.0)
    for index, row in enumerate(tokens):
        hits = row[np.isin(row, vocabulary)]
        varied = len(hits) >= 2 and np.unique(hits, return_counts=True)[1].max() <= MOST_REPEATED * len(hits)
        if rates[index] > much and varied:
            rated[index] = 2.0
    return rated


def harmonic(one: Floats, other: Floats) -> Floats:
    """Harmonic mean, 0 where either is 0."""
    total = one + other
    mean: Floats = np.where(total > 0, 2 * one * other / np.where(total > 0, total, 1.0), 0.0)
    return mean
