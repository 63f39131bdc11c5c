"""Traditional automated interpretability without a language model: explain, simulate, correlate (Bills et al. 2023).

On one half of the documents a feature's activation is explained by a few predicates of the bank of `comsem`, chosen one
after the other by orthogonal matching pursuit; their weighted sum is the simulated activation. On the other half the
score is Pearson's correlation of the simulated and the real activation over all tokens, not only over a feature's
strongest as where each token costs a question to a language model. `all predicates` is a ridge regression on the whole
bank: no explanation that a person would read, but about as much as predicates of this kind can tell. The control scores
each explanation against the activation of another feature, drawn at random.

A signed code is two features, one for each sign, a group is one of its norm, a bit is 0 or 1. Left out are features
that are on, or bits that are on or off, on fewer than FEWEST_TOKENS tokens of either half. Intervals resample features.

Everything is computed from second moments, so that memory does not grow with the corpus: of each half, the products of
predicates with each other and with the activations.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.comsem import corpus_bank
from unweave.evaluations.comsem.contexts import document_halves
from unweave.evaluations.comsem.rows import Rows
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.methods.coefficients import split_signs
from unweave.methods.dictionary import Dictionary
from unweave.models.language_model import load_language_model
from unweave.results.scores import Score

FEWEST_TOKENS = 10
RIDGE = 10.0
"""Penalty on standardised predicates, in tokens."""
ALL, SHUFFLED = "all predicates", "shuffled features"
QUANTILES = (0.1, 0.5, 0.9)
BLOCK = 2048
STABILISER = 1e-9

Floats = NDArray[np.float64]


class Settings(Strict):
    """Settings of simulate-and-correlate."""

    predicates: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
        default=[1, 3, 10], description="predicates of an explanation"
    )
    clusters: Annotated[int, Field(ge=2)] = Field(default=128, description="of input embeddings, as predicates")


@dataclass
class Moments:
    """Sums over the n rows of one half, of Q predicates p and F activations a."""

    pp: Floats
    """(Q, Q)"""
    pa: Floats
    """(Q, F)"""
    a: Floats
    """(F,)"""
    aa: Floats
    """(F,)"""
    on: Floats
    """(F,) rows with an activation that is not 0."""
    n: int = 0

    @classmethod
    def zero(cls, predicates: int, features: int) -> "Moments":
        """Of no rows."""
        a, aa, on = np.zeros((3, features))
        return cls(np.zeros((predicates, predicates)), np.zeros((predicates, features)), a, aa, on)

    def add(self, p: Floats, a: Floats) -> None:
        """Take in rows p (m, Q) and a (m, F)."""
        self.pp += p.T @ p
        self.pa += p.T @ a
        self.a += a.sum(axis=0)
        self.aa += np.square(a).sum(axis=0)
        self.on += (a != 0).sum(axis=0)
        self.n += len(p)

    @property
    def p_covariance(self) -> Floats:
        """Of predicates (Q, Q)."""
        mean = np.diag(self.pp) / self.n
        covariance: Floats = self.pp / self.n - np.outer(mean, mean)
        return covariance

    @property
    def cross_covariance(self) -> Floats:
        """Of predicates and activations (Q, F)."""
        cross: Floats = self.pa / self.n - np.outer(np.diag(self.pp) / self.n, self.a / self.n)
        return cross

    @property
    def a_variance(self) -> Floats:
        """Of activations (F,)."""
        variance: Floats = (self.aa / self.n - np.square(self.a / self.n)).clip(0)
        return variance

    def only(self, features: NDArray[np.int64]) -> "Moments":
        """Of some of the features."""
        return Moments(self.pp, self.pa[:, features], self.a[features], self.aa[features], self.on[features], self.n)


def one_sided(dictionary: Dictionary, codes: Tensor) -> Tensor:
    """Activations (n, features) of codes (n, F): both signs of a signed code, or the norm of a group."""
    if dictionary.traits.group_size > 1:
        return dictionary.strengths(codes)
    return split_signs(codes) if dictionary.traits.signed else codes


def moments(
    dictionary: Dictionary, corpus: Corpus, holds: NDArray[np.bool_], half: NDArray[np.bool_], device: torch.device
) -> tuple[Moments, Moments]:
    """Moments of the rows (n,) in `half` and of the others, with predicates `holds` (n, Q)."""
    traits = dictionary.traits
    features = dictionary.n_features * 2 if traits.signed and traits.group_size == 1 else dictionary.n_features
    found = [Moments.zero(holds.shape[1], features // traits.group_size) for _ in range(2)]
    start = 0
    for x in corpus.activations.blocks(BLOCK):
        a = one_sided(dictionary, dictionary.encode(x.to(device))).double().cpu().numpy()
        rows = slice(start, start + len(x))
        p = holds[rows].astype(np.float64)
        for part, mask in zip(found, (half[rows], ~half[rows]), strict=True):
            part.add(p[mask], a[mask])
        start = rows.stop
    return found[0], found[1]


def matching_pursuit(gram: Floats, products: Floats, most: int) -> Iterator[Floats]:
    """Weights (Q, F) after 1, 2, ... `most` steps of orthogonal matching pursuit, of all F targets at once.

    `gram` (Q, Q) of atoms with unit variance or none, `products` (Q, F) of atoms and targets. Each step takes the atom
    that the residual is most correlated with, and fits all chosen atoms anew by least squares (Pati et al. 1993).
    """
    targets = np.arange(products.shape[1])
    chosen = np.empty((len(targets), 0), dtype=np.int64)
    weights = np.zeros_like(products)
    for _ in range(min(most, len(gram))):
        best = np.abs(products - gram @ weights).argmax(axis=0)
        chosen = np.hstack([chosen, best[:, None]])
        # An atom that tells nothing new would make the system singular.
        system = gram[chosen[:, :, None], chosen[:, None, :]] + STABILISER * np.eye(chosen.shape[1])
        solution = np.linalg.solve(system, products[chosen, targets[:, None]][:, :, None])[:, :, 0]
        weights = np.zeros_like(products)
        np.add.at(weights, (chosen, targets[:, None]), solution)
        yield weights


def explanations(half: Moments, sizes: list[int]) -> dict[str, list[tuple[int, Floats]]]:
    """Weights (Q, F) of predicates by arm and number of predicates, from the half that is explained."""
    scale = np.sqrt(np.diag(half.p_covariance).clip(0))
    scale[scale == 0] = np.inf
    gram = half.p_covariance / np.outer(scale, scale)
    products = half.cross_covariance / scale[:, None]
    steps = enumerate(matching_pursuit(gram, products, max(sizes)), start=1)
    short = [(size, weights / scale[:, None]) for size, weights in steps if size in sizes]
    ridge = np.linalg.solve(gram + RIDGE / half.n * np.eye(len(gram)), products) / scale[:, None]
    return {"": short, ALL: [(len(gram), ridge)]}


def correlations(half: Moments, weights: Floats) -> Floats:
    """Pearson's r (F,) of simulated and real activations on the half that tests; 0 where either is constant."""
    covariance = (weights * half.cross_covariance).sum(axis=0)
    variance = (weights * (half.p_covariance @ weights)).sum(axis=0)
    product = np.sqrt(variance.clip(0) * half.a_variance)
    constant = product <= 1e-12 * half.a_variance
    r: Floats = np.where(constant, 0, covariance / np.where(constant, 1, product))
    return r.clip(-1, 1)


def scorable(dictionary: Dictionary, halves: tuple[Moments, Moments]) -> NDArray[np.int64]:
    """Features that are on often enough in both halves, and off where they are bits."""
    enough = np.ones(len(halves[0].on), dtype=bool)
    for half in halves:
        rarer = np.minimum(half.on, half.n - half.on) if dictionary.traits.binary else half.on
        enough &= (rarer >= FEWEST_TOKENS) & (half.a_variance > 0)
    return np.flatnonzero(enough)


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Correlations of every corpus against the number of predicates, with the control and the whole bank.

    Raises
    ------
    UnweaveError
        if fewer than two features are on often enough, no predicate is, or a text's tokens are not those of its rows.
    """
    model = load_language_model(data.model_folder, torch.float32, torch.device("cpu"))
    scores: list[Score] = []
    for name, corpus in data.corpora.items():
        half = document_halves(corpus.tokens.docs, seed)
        bank = corpus_bank(name, corpus, model, settings.clusters, seed)
        both = moments(dictionary, corpus, bank.holds, half, data.device)
        features = scorable(dictionary, both)
        if len(features) < 2 or not bank.names:
            raise UnweaveError(
                f"{name}: {len(features)} features are on often enough and {len(bank.names)} predicates hold often "
                "enough to correlate them: evaluate on more text"
            )
        explained, tested = (part.only(features) for part in both)
        order = np.random.default_rng(seed).permutation(len(features))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)
        scores += simulation_scores(name, explained, tested, other, settings.predicates, seed)
        total = len(both[0].on)
        scores.append(Rows(name, seed).score("simulated", len(features), total, unit="features", better=None))
    return scores


def simulation_scores(
    name: str, explained: Moments, tested: Moments, other: NDArray[np.int64], sizes: list[int], seed: int
) -> list[Score]:
    """Mean r of each arm and size; the control takes for each feature the explanation of the feature `other`."""
    scores = []
    for arm, found in explanations(explained, sizes).items():
        control = f"{arm}, {SHUFFLED}" if arm else SHUFFLED
        for size, weights in found:
            r, shuffled = (correlations(tested, w) for w in (weights, weights[:, other]))
            means = {"simulation": r, "simulation_gain": r - shuffled}
            scores += Rows(name, seed, arm).means(means, x_name="predicates", x=size)
            scores += Rows(name, seed, control).means({"simulation": shuffled}, x_name="predicates", x=size)
        # Of the longest explanations.
        for label, values in ((arm, r), (control, shuffled)):
            for q in QUANTILES:
                value = float(np.quantile(values, q))
                rows = Rows(name, seed, label)
                scores.append(rows.score("simulation_quantile", value, len(values), x_name="quantile", x=q))
    return scores
