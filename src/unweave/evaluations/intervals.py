"""Seeded percentile bootstrap, 95 %.

A resample is a row of weights: how often each unit (document, direction, text) was drawn. Every statistic here is a
ratio of weighted sums, so all resamples are one matrix product. Statistics that are resampled with the same weights
are paired: the percentiles of their difference are the interval of the difference.
"""

import numpy as np
from numpy.typing import NDArray

from unweave.errors import UnweaveError

DRAWS = 2000
LEVEL = 0.95

Floats = NDArray[np.float64]
Interval = tuple[float, float]


def resampling_weights(units: int, seed: int | list[int], strata: NDArray[np.integer] | None = None) -> Floats:
    """Weights (DRAWS, units) of sampling with replacement, within each of the `strata` (units,) if given.

    Raises
    ------
    UnweaveError
        with fewer than two units, which have no spread to resample.
    """
    if units < 2:
        raise UnweaveError(f"an interval needs at least 2 units to resample, got {units}: evaluate on more text")
    strata = np.zeros(units, dtype=np.int64) if strata is None else strata
    rng = np.random.default_rng(seed)
    weights = np.empty((DRAWS, units))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        weights[:, members] = rng.multinomial(members.size, np.full(members.size, 1 / members.size), size=DRAWS)
    return weights


def percentile_interval(resampled: Floats) -> Interval:
    """Central 95 % of resampled values (DRAWS,)."""
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_interval(values: Floats, seed: int) -> Interval:
    """Interval of the mean of `values` (units,)."""
    return percentile_interval(resampling_weights(len(values), seed) @ values / len(values))


def ratio_interval(numerators: Floats, denominators: Floats, weights: Floats) -> Interval:
    """Interval of sum(numerators) / sum(denominators), both (units,): a mean over tokens whose unit is the document."""
    return percentile_interval((weights @ numerators) / (weights @ denominators))
