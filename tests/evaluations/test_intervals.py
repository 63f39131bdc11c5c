import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from unweave.errors import UnweaveError
from unweave.evaluations.intervals import mean_interval, percentile_interval, ratio_interval, resampling_weights


@given(st.integers(2, 30), st.integers(0, 2**32))
def test_every_resample_draws_as_many_units_as_there_are(units, seed):
    weights = resampling_weights(units, seed)
    assert (weights >= 0).all()
    assert (weights.sum(axis=1) == units).all()


@given(st.lists(st.integers(0, 3), min_size=2, max_size=30))
def test_stratified_resamples_keep_the_size_of_every_stratum(strata):
    strata = np.array(strata)
    weights = resampling_weights(len(strata), 0, strata=strata)
    for stratum in np.unique(strata):
        assert (weights[:, strata == stratum].sum(axis=1) == (strata == stratum).sum()).all()


def test_the_seed_alone_decides_the_resamples():
    np.testing.assert_array_equal(resampling_weights(9, 3), resampling_weights(9, 3))
    assert (resampling_weights(9, 3) != resampling_weights(9, 4)).any()


def test_the_interval_leaves_out_a_fortieth_of_the_resampled_values_at_each_end():
    assert percentile_interval(np.linspace(0, 1, 4001)) == pytest.approx((0.025, 0.975))


def test_mean_interval_agrees_with_scipy():
    values = np.random.default_rng(0).exponential(size=80)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert mean_interval(values, seed=0) == pytest.approx((theirs.low, theirs.high), abs=0.04)


def test_intervals_of_the_mean_of_a_normal_cover_it_about_95_times_in_100():
    rng = np.random.default_rng(0)
    covered = 0
    for repeat in range(200):
        low, high = mean_interval(rng.normal(1.0, 2.0, size=60), seed=repeat)
        covered += low <= 1.0 <= high
    assert 0.89 <= covered / 200 <= 0.98


def test_the_interval_of_a_ratio_over_equal_documents_is_that_of_their_means():
    values = np.random.default_rng(1).normal(size=25)
    weights = resampling_weights(25, 0)
    assert ratio_interval(values * 4, np.full(25, 4.0), weights) == pytest.approx(mean_interval(values, 0))


def test_paired_differences_ignore_what_both_share():
    rng = np.random.default_rng(2)
    shared = rng.normal(0, 10, size=50)
    weights = resampling_weights(50, 0)
    difference = weights @ (shared + 1) / 50 - weights @ shared / 50
    assert percentile_interval(difference) == pytest.approx((1.0, 1.0))


def test_a_single_unit_has_no_interval():
    with pytest.raises(UnweaveError, match="at least 2 units"):
        resampling_weights(1, 0)
