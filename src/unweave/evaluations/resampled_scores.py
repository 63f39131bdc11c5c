"""Score rows whose interval comes from resampling: of a mean over units, or of a statistic that was drawn already."""

import numpy as np
from numpy.typing import NDArray

from unweave.evaluations.intervals import mean_interval, percentile_interval
from unweave.results.scores import Score


def mean_score(
    metric: str,
    values: NDArray[np.generic],
    *,
    seed: int,
    unit: str = "1",
    better: bool | None = None,
    dataset: str = "",
    label: str = "",
    x_name: str = "",
    x: float | None = None,
) -> Score:
    """Mean of the `values` (units,) with the interval of resampling the units; a single one has none.

    `better` says whether higher is.
    """
    of_units = values.astype(np.float64)
    low, high = mean_interval(of_units, seed) if len(of_units) > 1 else (None, None)
    return Score(
        metric=metric,
        value=float(of_units.mean()),
        dataset=dataset,
        n=len(of_units),
        unit=unit,
        higher_is_better=better,
        ci_low=low,
        ci_high=high,
        x_name=x_name,
        x=x,
        label=label,
        seed=seed,
    )


def drawn_score(
    metric: str,
    draws: NDArray[np.float64],
    *,
    n: int,
    seed: int,
    unit: str = "1",
    better: bool | None = None,
    dataset: str = "",
    label: str = "",
    x_name: str = "",
    x: float | None = None,
) -> Score:
    """Statistic of n units as `draws` (1 + resamples,) have it: of the units as they are, then of each resample."""
    low, high = percentile_interval(draws[1:])
    return Score(
        metric=metric,
        value=float(draws[0]),
        dataset=dataset,
        n=n,
        unit=unit,
        higher_is_better=better,
        ci_low=low,
        ci_high=high,
        x_name=x_name,
        x=x,
        label=label,
        seed=seed,
    )
