import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from unweave.activations.preprocessing import row_normalised
from unweave.activations.source import Statistics
from unweave.activations.statistics import MomentAccumulator, StatisticsAccumulator


def rows(n: int, d: int, seed: int, offset: float = 0.0) -> NDArray[np.float32]:
    """Correlated rows with very different scales per dimension."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(d, d)) * 10.0 ** generator.uniform(-2, 2, size=d)
    return (generator.standard_t(4, size=(n, d)) @ mixing + offset).astype(np.float32)


def accumulate(x: NDArray[np.float32], cuts: list[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    accumulator = MomentAccumulator(x.shape[1])
    for batch in np.split(x, sorted(cuts)):
        accumulator.add_batch(batch)
    return accumulator.compute()


def assert_close_covariances(
    found: NDArray[np.float64], expected: NDArray[np.float64], deviations: NDArray[np.float64]
) -> None:
    scale = np.outer(deviations, deviations) + 1e-300
    assert (np.abs(found - expected) / scale).max() < 3e-6


@settings(max_examples=40)
@given(
    n=st.integers(2, 300), d=st.integers(1, 8), seed=st.integers(0, 9), cuts=st.lists(st.integers(0, 300), max_size=6)
)
def test_moments_of_any_split_equal_those_of_numpy_in_float64(n: int, d: int, seed: int, cuts: list[int]) -> None:
    x = rows(n, d, seed)
    exact = x.astype(np.float64)
    mean, covariance = accumulate(x, [cut for cut in cuts if cut <= n])
    np.testing.assert_allclose(mean, exact.mean(axis=0), atol=1e-7 * np.abs(exact).max())
    # Before there is a second row, the shift is as far from the mean as the rows are.
    assert_close_covariances(covariance, np.cov(exact.T, ddof=0).reshape(d, d), np.ptp(exact, axis=0))


@settings(max_examples=25)
@given(seed=st.integers(0, 9), shift=st.sampled_from([-64.0, 0.5, 4096.0]), scale=st.sampled_from([0.125, 2.0, 1024.0]))
def test_moments_follow_a_shift_and_a_scale_of_the_rows(seed: int, shift: float, scale: float) -> None:
    x = np.round(rows(200, 4, seed) * 16).clip(-(2**12), 2**12).astype(np.float32) / 16
    mean, covariance = accumulate(x, [50])
    moved_mean, moved_covariance = accumulate(scale * (x + np.float32(shift)), [50])
    np.testing.assert_allclose(moved_mean, scale * (mean + shift), rtol=1e-6, atol=1e-6 * scale)
    assert_close_covariances(moved_covariance, scale**2 * covariance, scale * np.ptp(x, axis=0).astype(np.float64))


def test_a_mean_far_from_zero_does_not_spoil_the_covariance() -> None:
    x = rows(20_000, 6, seed=1) / 100
    far = (x + np.float32(1000)).astype(np.float32)
    exact = np.cov(far.astype(np.float64).T, ddof=0)
    assert_close_covariances(accumulate(far, [7000])[1], exact, np.sqrt(np.diag(exact)))


def test_many_rows_in_one_batch_are_as_accurate_as_many_batches() -> None:
    x = rows(30_000, 12, seed=2)
    exact = np.cov(x.astype(np.float64).T, ddof=0)
    for cuts in ([], list(range(500, 30_000, 500))):
        assert_close_covariances(accumulate(x, cuts)[1], exact, np.sqrt(np.diag(exact)))


def statistics_of(x: torch.Tensor, *, row_norm: bool) -> Statistics:
    accumulator = StatisticsAccumulator(x.shape[1])
    for batch in x.split(37):
        accumulator.add_batch(batch)
    return accumulator.compute(row_norm=row_norm)


def test_row_normalised_statistics_are_those_of_the_scaled_rows() -> None:
    x = torch.from_numpy(rows(200, 5, seed=3, offset=2))
    unit = row_normalised(x).double().numpy()
    found = statistics_of(x, row_norm=True)
    np.testing.assert_allclose(found.mean, unit.mean(axis=0), atol=1e-7)
    assert_close_covariances(found.covariance, np.cov(unit.T, ddof=0), np.ptp(unit, axis=0))


def test_the_mean_norm_is_that_of_the_raw_rows_in_both_statistics() -> None:
    x = torch.from_numpy(rows(200, 5, seed=4))
    expected = np.linalg.norm(x.double().numpy(), axis=1).mean()
    for row_norm in (False, True):
        found = statistics_of(x, row_norm=row_norm)
        assert found.n == 200
        np.testing.assert_allclose(found.mean_norm, expected, rtol=1e-6)


def test_scaling_the_rows_leaves_row_normalised_statistics_alone() -> None:
    x = torch.from_numpy(rows(100, 4, seed=5))
    one, other = statistics_of(x, row_norm=True), statistics_of(8 * x, row_norm=True)
    np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-8)
    np.testing.assert_allclose(8 * one.mean_norm, other.mean_norm)


def test_a_single_row_has_no_variance() -> None:
    mean, covariance = accumulate(np.array([[3.0, -4.0]], dtype=np.float32), [])
    np.testing.assert_array_equal(mean, [3, -4])
    np.testing.assert_array_equal(covariance, np.zeros((2, 2)))
