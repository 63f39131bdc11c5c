"""Balanced samples of one class against the rest (SAEBench `prepare_probe_data`).

SAEBench draws the negatives anew each time a class is probed, from one stream of random numbers, so that the list of k
or N that is asked for changes every later number. Here a class has one sample that serves every k, N, arm and
dictionary; the reference's stream is kept for comparisons with it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Permutation = Callable[[int], Integers]
"""Draws a permutation of 0, ..., n - 1."""


def one_vs_rest(labels: Integers, target: int, permutation: Permutation) -> tuple[Integers, Integers]:
    """Draw indices of the class `target` and evenly of as many other texts, and their targets 1 and 0.

    All positives are taken, or as many of them as there are negatives; the order is drawn too.
    """
    positives = np.flatnonzero(labels == target)
    others = [label for label in np.unique(labels).tolist() if label != target]
    each = math.ceil(len(positives) / len(others))
    drawn = []
    for other in others:
        members = np.flatnonzero(labels == other)
        drawn.append(members[permutation(len(members))[:each]])
    negatives = np.concatenate(drawn)
    negatives = negatives[permutation(len(negatives))[: len(positives)]]
    if len(negatives) < len(positives):
        positives = positives[permutation(len(positives))[: len(negatives)]]
    order = permutation(2 * len(negatives))
    return np.concatenate([positives, negatives])[order], np.repeat([1, 0], len(negatives))[order]


@dataclass(frozen=True)
class Draws:
    """How the samples of a class are drawn."""

    permutation: Callable[[int, bool], Permutation]
    """Of a class, from the training texts or from the others."""

    @classmethod
    def fixed(cls, seed: int) -> Self:
        """One sample per class, by the seed and the class alone."""
        return cls(lambda target, train: np.random.default_rng([seed, target, train]).permutation)

    @classmethod
    def saebench(cls) -> Self:
        """Drawn anew each time from torch's global random numbers."""
        return cls(lambda _, __: lambda n: torch.randperm(n).numpy())

    def train(self, labels: Integers, target: int) -> tuple[Integers, Integers]:
        """Sample of the training texts, whose `labels` are (m,)."""
        return one_vs_rest(labels, target, self.permutation(target, True))

    def test(self, labels: Integers, target: int) -> tuple[Integers, Integers]:
        """Sample of the test texts."""
        return one_vs_rest(labels, target, self.permutation(target, False))
