"""How far from Gaussian the activations are along a dictionary's directions (ICA Lens, non-Gaussianity by layer).

Directions are the unit-norm readers, or the unit-norm atoms of a dictionary without readers; rows are preprocessed as
the dictionary says. Statistics are those of the population: excess kurtosis m4 / m2^2 - 3, skewness m3 / m2^1.5, and
the distance |E log cosh(s / sd) - E log cosh(z)| of the FastICA contrast from its value for a standard normal z. Beside
them stands the variance itself, relative to the mean of the coordinates, which is that of an average direction.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import mean_interval
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

GAUSSIAN_LOGCOSH = 0.374567207491457
"""E log cosh(z), z standard normal (ICA Lens package)."""
FAMILY_LEVEL = 0.05

Floats = NDArray[np.float64]
Point = tuple[str, float | None, np.floating, float | None, float | None]
"""x_name, x, value, ci_low, ci_high."""


class Settings(Strict):
    """Settings of the non-Gaussianity evaluation."""

    quantiles: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[0.05, 0.25, 0.5, 0.75, 0.95], description="quantiles over directions that show their spread"
    )


@dataclass(frozen=True)
class Shape:
    """Shape of the distribution along each of F directions; arrays (F,)."""

    excess_kurtosis: Floats
    skewness: Floats
    logcosh_deviation: Floats
    relative_variance: Floats


def _log_cosh(z: Tensor) -> Tensor:
    return z.abs() + softplus(-2 * z.abs()) - math.log(2)


def shape_along(
    activations: Activations, directions: Tensor, *, row_norm: bool, device: torch.device | str = "cpu"
) -> Shape:
    """Shape of `activations` (n, d) along unit `directions` (F, d).

    Projections are standardised with the float64 mean and covariance of the rows before their powers are summed in
    float64, so that no power of a large mean cancels.

    Raises
    ------
    UnweaveError
        if the activations do not vary along a direction.
    """
    statistics = activations.statistics(row_norm=row_norm)
    wide = directions.detach().cpu().double().numpy()
    variances = np.einsum("fd,de,fe->f", wide, statistics.covariance, wide, optimize=True)
    flat = int((variances <= 1e-12 * np.trace(statistics.covariance)).sum())
    if flat:
        raise UnweaveError(
            f"the activations do not vary along {flat} of {len(wide)} directions: use more tokens or fewer components"
        )
    center = torch.as_tensor(statistics.mean, dtype=torch.float32, device=device)
    scaled = torch.as_tensor((wide / np.sqrt(variances)[:, None]).T, dtype=torch.float32, device=device)
    sums = torch.zeros(5, len(wide), dtype=torch.float64, device=device)
    for block in activations.blocks():
        x = block.to(device)
        z = ((row_normalised(x) if row_norm else x) - center) @ scaled
        square = z.square()
        for total, term in zip(sums, (z, square, square * z, square.square(), _log_cosh(z)), strict=True):
            total += term.sum(dim=0, dtype=torch.float64)
    m1, m2, m3, m4, contrast = (sums / activations.n).cpu().numpy()
    second = m2 - m1**2
    third = m3 - 3 * m1 * m2 + 2 * m1**3
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    return Shape(
        excess_kurtosis=fourth / second**2 - 3,
        skewness=third / second**1.5,
        logcosh_deviation=np.abs(contrast - GAUSSIAN_LOGCOSH),
        relative_variance=variances / (np.trace(statistics.covariance) / wide.shape[1]),
    )


def gaussian_kurtosis_limit(n: int, directions: int) -> float:
    """Excess kurtosis that the largest of `directions` Gaussian samples of `n` rows exceeds with probability 0.05.

    Normal approximation with the exact mean and variance of the sample statistic (Fisher 1930), for independent rows:
    tokens of one document are not, so this is the lenient end.
    """
    mean = -6 / (n + 1)
    variance = 24 * n * (n - 2) * (n - 3) / ((n + 1) ** 2 * (n + 3) * (n + 5))
    return mean + math.sqrt(variance) * NormalDist().inv_cdf((1 - FAMILY_LEVEL) ** (1 / directions))


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Mean and spread over directions, for every corpus."""
    readers = dictionary.readers
    directions = dictionary.atoms if readers is None else readers
    directions = directions / directions.norm(dim=1, keepdim=True)
    scores = []
    for name, corpus in data.corpora.items():
        activations = corpus.activations
        shape = shape_along(activations, directions, row_norm=dictionary.traits.row_norm, device=data.device)
        limit = gaussian_kurtosis_limit(activations.n, len(directions))
        for metric, values in {
            "excess_kurtosis": shape.excess_kurtosis,
            "absolute_skewness": np.abs(shape.skewness),
            "logcosh_deviation": shape.logcosh_deviation,
            "relative_variance": shape.relative_variance,
            "share_above_gaussian": (shape.excess_kurtosis > limit).astype(np.float64),
        }.items():
            spread = [] if metric == "share_above_gaussian" else settings.quantiles
            low, high = mean_interval(values, seed)
            points: list[Point] = [("", None, values.mean(), low, high)]
            points += [("quantile", q, np.quantile(values, q), None, None) for q in spread]
            scores += [
                Score(
                    metric=metric,
                    value=float(value),
                    dataset=name,
                    n=len(values),
                    unit="1",
                    higher_is_better=None,
                    ci_low=ci_low,
                    ci_high=ci_high,
                    x_name=x_name,
                    x=x,
                    seed=seed,
                )
                for x_name, x, value, ci_low, ci_high in points
            ]
    return scores
