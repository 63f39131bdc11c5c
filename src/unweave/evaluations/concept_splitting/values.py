"""How well the codes of a few units tell the values of a concept from one another."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FOLDS = 2
"""Every value occurs twice or more, so that both halves have it."""
PENALTY = 1.0
"""Inverse strength C of the L2 penalty of the probes, on standardised codes."""


def balanced_accuracy(points: Floats, values: Integers, seed: int) -> float:
    """Mean over values (t,) of how often a probe of points (t, c) names them right, each half from the other.

    Chance is 1 / number of values.
    """
    found = np.empty_like(values)
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(points, values):
        scaler = StandardScaler().fit(points[train])
        probe = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=300)
        probe.fit(scaler.transform(points[train]), values[train])
        found[test] = probe.predict(scaler.transform(points[test]))
    return float(np.mean([(found[values == value] == value).mean() for value in np.unique(values)]))


def columns_of(units: Integers, group_size: int, budget: int) -> Integers:
    """Codes of the first units, `budget` in all, or of a single unit where that is larger."""
    kept = units[: max(1, budget // group_size)]
    columns: Integers = (kept[:, None] * group_size + np.arange(group_size)).ravel()
    return columns
