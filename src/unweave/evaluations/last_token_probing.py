"""Sparse probing of the last token, as sae-probes 0.4.2 does it (arXiv 2502.16681).

A text is the codes of its last harvested token. For each class, one against the rest and balanced, codes are divided
by the mean of their non-zero magnitudes for the ranking alone; the k of largest |difference of class means| go to a
logistic regression, whose penalty strength is chosen by AUC on the last fifth (at most 100) of the training texts, or
by cross-validation where these are few. Training and test texts are drawn from all labelled texts by a seed.

Settings of the study: `normal` (as many training texts as leave 100 to test, at most 1024), `scarcity` (few training
texts) and `imbalance` (one class is rare in both). Controls: k random codes, labels shuffled in training, and all
coordinates of the activation.

sae-probes cuts texts on the left, so that the last token is that of the text; here it is the last harvested one.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import LeavePOut, StratifiedKFold

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.balanced_samples import one_vs_rest
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import Corpus, EvaluationData
from unweave.evaluations.intervals import percentile_interval, resampling_weights
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Penalty = Literal["l1", "l2"]

STRENGTHS = np.logspace(5, -5, 10)
TESTED, MOST_TRAINED, MOST_VALIDATED = 100, 1024, 100


class Settings(Strict):
    """Settings of last-token probing."""

    k: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 5, 20], description="codes given to the probe")
    penalty: Penalty = Field(default="l1", description="norm of the weights that is penalised")
    binarise: bool = Field(default=False, description="give the probe whether codes are not zero, instead of the codes")
    train_texts: list[Annotated[int, Field(ge=2)]] = Field(
        default=[], description="numbers of training texts of the scarcity setting"
    )
    positive_shares: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default=[], description="shares of positives of the imbalance setting"
    )


# --- pure ------------------------------------------------------------------------------------------------------------


def train_test(y: Integers, n_train: int, n_test: int, positive_share: float, seed: int) -> tuple[Integers, Integers]:
    """Draw disjoint training and test texts of `y` (m,) in {0, 1} with a share of positives, each in random order.

    Raises
    ------
    UnweaveError
        if there are too few of a class.
    """
    rng = np.random.RandomState(seed)
    chosen: list[list[Integers]] = [[], []]
    pools = {label: np.flatnonzero(y == label) for label in (1, 0)}
    for part, size in enumerate((n_train, n_test)):
        positives = int(np.ceil(positive_share * size))
        for label, count in ((1, positives), (0, size - positives)):
            if count > len(pools[label]):
                raise UnweaveError(
                    f"{count} texts of one class are needed and {len(pools[label])} are left: use more texts"
                )
            chosen[part].append(rng.choice(pools[label], size=count, replace=False))
        pools = {label: np.setdiff1d(pool, np.concatenate(chosen[part])) for label, pool in pools.items()}
    train, test = (rng.permutation(np.concatenate(parts)) for parts in chosen)
    return train, test


def ranking(codes: Floats, y: Integers) -> Integers:
    """Columns of codes (m, F) by |mean where y is 1 - mean where y is 0| over the mean of their non-zero magnitudes."""
    means = np.abs(codes).sum(axis=0) / ((codes != 0).sum(axis=0) + 1e-6)
    scaled = codes / (means + 1e-6)
    difference = scaled[y == 1].mean(axis=0) - scaled[y == 0].mean(axis=0)
    return np.argsort(-np.abs(difference), kind="stable")


def splits(y: Integers, seed: int) -> Iterator[tuple[Integers, Integers]]:
    """Training and validation rows that choose the strength: one split of many texts, folds of few."""
    n = len(y)
    rows = np.arange(n)
    if n >= 128:
        kept = n - min(int(0.2 * n), MOST_VALIDATED)
        yield rows[:kept], rows[kept:]
        return
    folds = LeavePOut(2) if n <= 12 else StratifiedKFold(n_splits=6, shuffle=True, random_state=seed)
    for train, validation in folds.split(rows, y):
        if len(np.unique(y[validation])) == 2:
            yield train, validation


def regression(C: float, penalty: Penalty, seed: int) -> LogisticRegression:
    """Logistic regression of strength C."""
    solver = {"l1_ratio": 1, "solver": "saga"} if penalty == "l1" else {}
    return LogisticRegression(C=C, random_state=seed, max_iter=1000, **solver)


@dataclass(frozen=True)
class Probe:
    """What a probe of chosen strength says about the test texts."""

    predicted: Integers
    """(m,) class."""
    score: Floats
    """(m,) probability of the positive class."""
    validation_auc: float


def best_probe(x: Floats, y: Integers, x_test: Floats, penalty: Penalty, seed: int) -> Probe:
    """Choose the strength by validation AUC, fit all training texts x (n, k) with it, and score x_test (m, k)."""
    found = []
    with warnings.catch_warnings():
        # The weakest penalties need more iterations than the reference allows, and are seldom chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for C in STRENGTHS:
            aucs = []
            for train, validation in splits(y, seed):
                if len(np.unique(y[train])) < 2:
                    aucs.append(0.5)
                    continue
                fitted = regression(C, penalty, seed).fit(x[train], y[train])
                aucs.append(roc_auc_score(y[validation], fitted.predict_proba(x[validation])[:, 1]))
            found.append(np.mean(aucs))
        order = np.random.RandomState(seed).permutation(len(x))
        probe = regression(STRENGTHS[int(np.argmax(found))], penalty, seed).fit(x[order], y[order])
    return Probe(probe.predict(x_test), probe.predict_proba(x_test)[:, 1], float(np.max(found)))


def weighted_auc(score: Floats, y: Integers, weights: Floats) -> Floats:
    """AUC (draws,) of texts taken with `weights` (draws, m): the chance that a positive scores above a negative."""
    positive, negative = score[y == 1], score[y == 0]
    above = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    w_positive, w_negative = weights[:, y == 1], weights[:, y == 0]
    auc: Floats = ((w_positive @ above) * w_negative).sum(axis=1) / (w_positive.sum(axis=1) * w_negative.sum(axis=1))
    return auc


# --- one corpus ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Texts:
    """Last tokens of the labelled texts of one corpus."""

    codes: Floats
    """(m, F)"""
    activations: Floats
    """(m, d)"""
    labels: Integers
    """(m,)"""


def last_tokens(name: str, corpus: Corpus, dictionary: Dictionary, device: torch.device) -> Texts:
    """Encode the last harvested token of each labelled text.

    Raises
    ------
    UnweaveError
        unless there are labelled texts of two classes.
    """
    documents = Documents.of(corpus.tokens.docs)
    last = np.zeros(len(documents.indices), dtype=np.int64)
    np.maximum.at(last, documents.of_row, np.arange(len(documents.of_row)))
    labels = np.asarray(corpus.labels)[documents.indices]
    if len(np.unique(labels[labels >= 0])) < 2:
        raise UnweaveError(f"{name}: needs labelled texts of two classes: use a labelled data set")
    rows = last[labels >= 0]
    x = corpus.activations.taken(rows).to(device)
    codes = dictionary.encode(x)
    return Texts(codes.double().cpu().numpy(), x.double().cpu().numpy(), labels[labels >= 0])


@dataclass(frozen=True)
class Case:
    """One setting with its free variable, and how its texts are drawn."""

    name: str
    x: float | None
    train: int
    test: int
    positive_share: float


def cases(n: int, settings: Settings) -> Iterator[Case]:
    """Cases of a task of n balanced texts.

    Raises
    ------
    UnweaveError
        if the texts are too few.
    """
    if n < 2 * TESTED:
        raise UnweaveError(
            f"a class needs at least {TESTED} texts and as many of the others, found {n // 2}: use more texts"
        )
    most = min(n - TESTED, MOST_TRAINED)
    yield Case("normal", None, most, n - most - 1, 0.5)
    for size in settings.train_texts:
        if size <= n - TESTED:
            yield Case("scarcity", size, size, n - size - 1, 0.5)
    for share in settings.positive_shares:
        # As many texts as the rarer class of the most unequal case allows.
        total = int(n / 2 / max(share, 1 - share))
        train = min(total - TESTED, MOST_TRAINED)
        if train >= 2:
            yield Case("imbalance", share, train, total - train, share)


def probe_case(
    texts: Texts, y: Integers, case: Case, settings: Settings, seed: int
) -> Iterator[tuple[str, int, Probe, Integers]]:
    """Label of the arm, k, the probe, and the targets of the test texts, for one task."""
    train, test = train_test(y, case.train, case.test, case.positive_share, seed)
    codes, codes_test = texts.codes[train], texts.codes[test]
    rng = np.random.default_rng(seed)
    columns = codes.shape[1]
    shuffled = rng.permutation(y[train])
    arms = {
        "": (ranking(codes, y[train]), y[train]),
        "random codes": (rng.permutation(columns), y[train]),
        "shuffled labels": (ranking(codes, shuffled), shuffled),
    }
    for label, (order, targets) in arms.items():
        for k in sorted({k for k in settings.k if k <= columns}):
            x, x_test = codes[:, order[:k]], codes_test[:, order[:k]]
            if settings.binarise:
                x, x_test = (x != 0).astype(np.float64), (x_test != 0).astype(np.float64)
            yield label, k, best_probe(x, targets, x_test, settings.penalty, seed), y[test]
    if case.name == "normal":
        probe = best_probe(texts.activations[train], y[train], texts.activations[test], "l2", seed)
        yield "raw activations", texts.activations.shape[1], probe, y[test]


METRICS = ("accuracy", "f1", "auc", "validation_auc")


def measured(probe: Probe, y: Integers, weights: Floats) -> dict[str, tuple[float, Floats | None]]:
    """Each metric and its resamples (draws,); F1 and the validation AUC are given without."""
    right = (probe.predicted == y).astype(np.float64)
    ones = np.ones((1, len(y)))
    return {
        "accuracy": (float(right.mean()), (weights @ right) / weights.sum(axis=1)),
        "f1": (float(f1_score(y, probe.predicted, average="weighted")), None),
        "auc": (float(weighted_auc(probe.score, y, ones)[0]), weighted_auc(probe.score, y, weights)),
        "validation_auc": (probe.validation_auc, None),
    }


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Accuracy, weighted F1 and AUC against k, means over the classes of every corpus.

    The metric is prefixed by the setting where it is not `normal`; its free variable is then in the label.
    """
    scores = []
    for name, corpus in data.corpora.items():
        texts = last_tokens(name, corpus, dictionary, data.device)
        found: dict[tuple[str, str, int], list[tuple[float, Floats | None]]] = {}
        sizes: dict[tuple[str, str, int], int] = {}
        targets = np.unique(texts.labels).tolist()
        # Of two classes one against the rest is the same task twice.
        for target in targets if len(targets) > 2 else targets[1:]:
            chosen, y = one_vs_rest(texts.labels, target, np.random.default_rng([seed, target]).permutation)
            task = Texts(texts.codes[chosen], texts.activations[chosen], texts.labels[chosen])
            for case in cases(len(y), settings):
                for label, k, probe, y_test in probe_case(task, y, case, settings, seed):
                    weights = resampling_weights(len(y_test), [seed, target], strata=y_test)
                    prefix = "" if case.x is None else f"{case.name}_"
                    title = label if case.x is None else f"{label or 'codes'}, {case.x:g}"
                    for metric, value in measured(probe, y_test, weights).items():
                        key = (prefix + metric, title, k)
                        found.setdefault(key, []).append(value)
                        sizes[key] = sizes.get(key, 0) + len(y_test)
        scores += [_score(name, key, values, sizes[key], seed) for key, values in found.items()]
    return scores


def _score(name: str, key: tuple[str, str, int], values: list[tuple[float, Floats | None]], n: int, seed: int) -> Score:
    metric, label, k = key
    resampled = [draws for _, draws in values if draws is not None]
    low, high = percentile_interval(np.mean(resampled, axis=0)) if resampled else (None, None)
    return Score(
        metric=metric,
        value=float(np.mean([value for value, _ in values])),
        dataset=name,
        n=n,
        unit="1",
        higher_is_better=True,
        ci_low=low,
        ci_high=high,
        x_name="k",
        x=k,
        label=label,
        seed=seed,
    )
