"""What evaluations wrote about single features in their score tables."""

from dataclasses import dataclass

import pandas as pd

EXPLANATION = "explanation"
"""Metric of the rows that `comsem` writes for features it could name: x is the feature, the label its name."""


@dataclass(frozen=True)
class Explanation:
    """A name of a feature, and the share of other tokens of which it holds."""

    text: str
    score: float


def explanations(scores: pd.DataFrame, features: int) -> dict[int, list[Explanation]]:
    """Explanations by feature, best first.

    Evaluations count the negative sides of `features` signed features after the positive ones; here both belong to one
    feature, and the name says which side it is of.
    """
    rows = scores[(scores["metric"] == EXPLANATION) & (scores["x_name"] == "feature")]
    found: dict[int, list[Explanation]] = {}
    for x, label, value in zip(rows["x"].astype(int), rows["label"], rows["value"], strict=True):
        side, feature = divmod(int(x), features)
        text = f"negative: {label}" if side else str(label)
        found.setdefault(feature, []).append(Explanation(text, float(value)))
    return {feature: sorted(those, key=lambda one: -one.score) for feature, those in found.items()}
