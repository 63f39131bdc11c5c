"""What a fit recorded while it went on: its loss, its contrast, how sparse its codes were (training curves).

ICA Lens shows percentiles over components of the objective (Figures 16 to 19), the Binary Autoencoder its loss, entropy
and covariance (appendix). Curves are named by the method, and thinned to evenly spaced points with the first and the
last one among them. There is one fit, so that a point has no interval.
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score


class Settings(Strict):
    """Settings of training curves; they take no corpus."""

    points: Annotated[int, Field(ge=2)] = Field(default=60, description="of each curve, at most")


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:  # noqa: ARG001
    """Every curve, by step (an iteration or a batch).

    Raises
    ------
    UnweaveError
        if the fit recorded none, as one without iterations.
    """
    curves = data.curves()
    if not curves:
        raise UnweaveError("its fit recorded no curve: leave it out (`methods`)")
    scores = []
    for name, curve in sorted(curves.items()):
        chosen = np.linspace(0, len(curve.steps) - 1, min(settings.points, len(curve.steps))).round().astype(np.int64)
        scores += [
            Score(
                metric=name,
                value=float(curve.values[i]),
                dataset="",
                n=1,
                unit="1",
                higher_is_better=None,
                x_name="step",
                x=float(curve.steps[i]),
                seed=seed,
            )
            for i in chosen.tolist()
        ]
    return scores
