import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.methods.snmf.features import (
    kept_neurons,
    least_squares_on,
    lower_by_neuron,
    ridge_solution,
    sparse_descent,
    strongest,
    winner_take_all,
)
from unweave.methods.snmf.moments import Moments, error_by_neuron


def moments(seed, n=40, d=12, k=5):
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand(k, n, generator=generator, dtype=torch.float64)
    a = torch.randn(d, n, generator=generator, dtype=torch.float64)
    return y, a, Moments(y @ a.T, y @ y.T)


@pytest.mark.parametrize(("p", "d", "s"), [(0.01, 1536, 16), (0.01, 6, 1), (0.05, 3072, 154), (1.0, 7, 7), (0.0, 9, 1)])
def test_the_number_of_kept_neurons_is_rounded_up(p, d, s):
    assert kept_neurons(p, d) == s == max(1, math.ceil(p * d))


def test_of_ties_the_paper_keeps_all_and_we_keep_the_first():
    z = torch.tensor([[1.0, -2, 2, 0, 2]])
    assert winner_take_all(z, 2).tolist() == [[0, -2, 2, 0, 2]]
    assert strongest(z, 2).tolist() == [[False, True, True, False, False]]
    rows = torch.tensor([[3.0, 2, 2, 0], [1, 1, 1, 1], [0, 1, 2, 3]])
    assert strongest(rows, 2).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]
    assert winner_take_all(torch.tensor([[4.0, -3, 2, 1]]), 3).tolist() == [[4, -3, 2, 0]]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20), st.data())
def test_exactly_s_entries_are_strongest_and_none_left_out_is_larger(values, data):
    z = torch.tensor(values, dtype=torch.float64)
    s = data.draw(st.integers(1, len(values)))
    kept = strongest(z, s)
    assert int(kept.sum()) == s
    assert z[kept].abs().min() >= z[~kept].abs().max() if s < len(values) else True


@pytest.mark.parametrize("k", [1, 5, 9])
def test_each_neuron_is_regressed_on_the_features_that_keep_it(k):
    y, a, sums = moments(0, k=k)
    support = torch.rand(k, 12, generator=torch.Generator().manual_seed(1)) < 0.5
    fitted = least_squares_on(support, sums)
    for i in range(12):
        keep = support[:, i]
        expected = torch.zeros(k, dtype=torch.float64)
        if keep.any():
            expected[keep] = torch.linalg.lstsq(y[keep].T, a[i]).solution
        torch.testing.assert_close(fitted[:, i], expected, rtol=1e-4, atol=1e-5)


def test_a_full_support_gives_the_ridge_solution():
    _, _, sums = moments(2)
    everything = torch.ones(5, 12, dtype=torch.bool)
    torch.testing.assert_close(least_squares_on(everything, sums), ridge_solution(sums))


@given(st.integers(0, 10_000), st.integers(1, 12))
@settings(max_examples=40)
def test_a_sweep_over_sparse_features_never_raises_the_error(seed, s):
    _, _, sums = moments(seed)
    z = torch.randn(5, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    z = z * strongest(z, s)
    swept = sparse_descent(z, sums, s)
    assert (swept != 0).sum(dim=1).max() <= s
    assert error_by_neuron(swept, sums).sum() <= error_by_neuron(z, sums).sum() + 1e-9
    refitted = lower_by_neuron(least_squares_on(swept != 0, sums), swept, sums)
    assert error_by_neuron(refitted, sums).sum() <= error_by_neuron(swept, sums).sum()


@pytest.mark.parametrize("s", [1, 2])
def test_the_last_feature_of_a_sweep_is_the_best_sparse_one_given_the_others(s):
    y, a, sums = moments(4, d=5, k=3)
    swept = sparse_descent(torch.randn(3, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64), sums, s)
    left = a - swept[:2].T @ y[:2]
    errors = []
    for support in combinations(range(5), s):
        alone = left.clone()
        for neuron in support:
            alone[neuron] -= (left[neuron] @ y[2]) / (y[2] @ y[2]) * y[2]
        errors.append(float(alone.square().sum()))
    assert float((a - swept.T @ y).square().sum()) == pytest.approx(min(errors))


def test_features_that_rebuild_everything_are_left_as_they_are():
    _, _, sums = moments(6, k=3)
    truth = torch.randn(3, 12, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    sums = Moments(sums.gram_kk @ truth, sums.gram_kk)
    torch.testing.assert_close(sparse_descent(truth, sums, 12), truth)


@pytest.mark.parametrize("scale", [1e-6, 1e3])
def test_coefficients_of_another_scale_give_features_of_the_inverse_scale(scale):
    _, _, sums = moments(8)
    scaled = Moments(scale * sums.products_kd, scale**2 * sums.gram_kk)
    torch.testing.assert_close(ridge_solution(scaled) * scale, ridge_solution(sums))
    torch.testing.assert_close(
        sparse_descent(ridge_solution(sums) / scale, scaled, 3) * scale, sparse_descent(ridge_solution(sums), sums, 3)
    )


@pytest.mark.parametrize(("error", "ridges"), [(4e-6, 1.1e-5), (4e-5, 1.11e-4), (4e-4, 1.111e-3)])
def test_where_the_ridge_is_not_enough_larger_ones_are_added_for_that_neuron_alone(error, ridges):
    gram = 4 * torch.eye(4, dtype=torch.float64)
    gram[0, 1] = gram[1, 0] = 4 * (1 + error)
    gram[2, 3] = gram[3, 2] = 2
    products = torch.tensor([[1.0, 0], [2.0, 0], [0, 3.0], [0, 1.0]], dtype=torch.float64)
    support = torch.tensor([[True, False], [True, False], [False, True], [False, True]])
    fitted = least_squares_on(support, Moments(products, gram))
    eye = torch.eye(2, dtype=torch.float64)
    lifted = torch.linalg.solve(gram[:2, :2] + 4 * (1e-6 + ridges) * eye, products[:2, 0])
    torch.testing.assert_close(fitted[:2, 0], lifted, rtol=1e-6, atol=0)
    usual = torch.linalg.solve(gram[2:, 2:] + 4e-6 * eye, products[2:, 1])
    torch.testing.assert_close(fitted[2:, 1], usual, rtol=1e-12, atol=0)


def test_a_neuron_is_taken_from_the_candidate_only_where_that_is_no_worse():
    y, a, sums = moments(9)
    best = ridge_solution(sums)
    spoilt = best.clone()
    spoilt[:, :6] += 1
    torch.testing.assert_close(lower_by_neuron(spoilt, best, sums), best)
    torch.testing.assert_close(lower_by_neuron(best, spoilt, sums), best)
    assert float((a - best.T @ y).square().sum()) < float((a - spoilt.T @ y).square().sum())


@pytest.mark.parametrize("entry", [0.0, math.nan])
def test_coefficients_that_are_all_zero_or_not_finite_are_an_error(entry):
    broken = Moments(torch.ones(2, 3, dtype=torch.float64), torch.full((2, 2), entry, dtype=torch.float64))
    with pytest.raises(UnweaveError, match="not finite or all zero"):
        ridge_solution(broken)


def test_a_feature_without_tokens_loses_its_neurons():
    _, _, sums = moments(3)
    sums.gram_kk[2] = sums.gram_kk[:, 2] = sums.products_kd[2] = 0
    assert not sparse_descent(torch.ones(5, 12, dtype=torch.float64), sums, 3)[2].any()


def test_a_feature_without_tokens_changes_no_other():
    _, _, sums = moments(3)
    start = torch.randn(5, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    others = torch.tensor([0, 1, 3, 4])
    alone = sparse_descent(start[others], Moments(sums.products_kd[others], sums.gram_kk[others][:, others]), 3)
    sums.gram_kk[2] = sums.gram_kk[:, 2] = sums.products_kd[2] = 0
    torch.testing.assert_close(sparse_descent(start, sums, 3)[others], alone)
