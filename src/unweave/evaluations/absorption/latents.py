"""Which latents say a word's first letter, by k-sparse probing (SAEBench)."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

L1_PENALTY = 0.01
MOST_LATENTS = 10
GAIN = 0.03
"""Of F1 that one more latent must bring to count as a main latent too."""


def letter_probe(x: Floats, y: Integers) -> LogisticRegression:
    """Train a probe of activations x (n, d) for one letter; both sides weigh the same."""
    return LogisticRegression(C=1.0, class_weight="balanced", max_iter=1000).fit(x, y)


def main_latents(codes: Floats, y: Integers, codes_test: Floats, y_test: Integers) -> tuple[Integers, Floats]:
    """Choose the main latents of one letter, and return the F1 of probes of the first 1, 2, ... candidates too.

    Candidates are the latents of largest weight in a probe of all codes (n, F) with an L1 penalty; they are taken one
    by one as long as each raises the F1 on the test words by more than 0.03. More than one is feature splitting.
    """
    sparse = LogisticRegression(
        C=1 / (L1_PENALTY * len(codes)), l1_ratio=1, solver="liblinear", class_weight="balanced", random_state=0
    ).fit(codes, y)
    order = np.argsort(-sparse.coef_[0], kind="stable")[:MOST_LATENTS]
    scores: list[float] = []
    taken = 1
    for k in range(1, len(order) + 1):
        columns = order[:k]
        probe = LogisticRegression(class_weight="balanced", max_iter=500).fit(codes[:, columns], y)
        scores.append(float(f1_score(y_test, probe.predict(codes_test[:, columns]), zero_division=0)))
        if k > 1:
            if scores[-1] <= scores[-2] + GAIN:
                break
            taken = k
    return order[:taken], np.array(scores)
