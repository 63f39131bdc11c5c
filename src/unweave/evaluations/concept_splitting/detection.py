"""Which units tell the tokens of a concept. Shapes: C concepts, U units."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_RECALL, LEAST_PRECISION = 0.5, 0.2
"""Of a unit that is a feature of the concept (the published code's rule)."""
SPECIFIC = 0.5
"""Precision of a unit that fires mainly on the concept, perhaps on a part of it alone."""
FEWEST_HITS = 5


def precision_recall(hits: Floats, fired: Floats, present: Floats) -> tuple[Floats, Floats]:
    """From tokens where both are (C, U), where the unit fires (U,) and where the concept is (C,); both (C, U)."""
    return hits / np.maximum(fired, 1), hits / np.maximum(present[:, None], 1)


def splitting(hits: Floats, fired: Floats, present: Floats) -> dict[str, Floats]:
    """By concept (C,): how many units are features of it, how many are specific to it, and the best F1 of a unit."""
    precision, recall = precision_recall(hits, fired, present)
    f1 = f1_of(hits, fired, present)
    features = (recall >= LEAST_RECALL) & (precision >= LEAST_PRECISION)
    specific = (precision >= SPECIFIC) & (hits >= FEWEST_HITS)
    return {
        "feature_units": features.sum(axis=1).astype(np.float64),
        "specific_units": specific.sum(axis=1).astype(np.float64),
        "best_f1": f1.max(axis=1),
    }


def f1_of(hits: Floats, fired: Floats, present: Floats) -> Floats:
    """F1 (C, U) of the firing of each unit for each concept."""
    result: Floats = 2 * hits / np.maximum(fired[None, :] + present[:, None], 1)
    return result
