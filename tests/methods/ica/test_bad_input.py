"""Rows that cannot be decomposed are refused in one line; rows that can, but should not pass unseen, are recorded."""

import math

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.methods.ica import Settings, fit

ALGORITHMS = pytest.mark.parametrize("algorithm", ["symmetric", "deflation", "lbfgs"])


def settings(algorithm, **changes):
    return Settings(algorithm=algorithm, iterations=20, **changes)


@ALGORITHMS
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_one_clear_error(planted, in_memory, cpu, algorithm, value):
    x = planted.x.clone()
    x[17, 4] = value
    with pytest.raises(UnweaveError, match="NaN or infinite values"):
        fit(in_memory(x), settings(algorithm), 0, cpu)


@ALGORITHMS
def test_a_constant_coordinate_is_refused_with_the_number_that_can_be_fitted(planted, in_memory, cpu, algorithm):
    x = torch.cat([planted.x, torch.full((len(planted.x), 1), 7.0)], dim=1)
    with pytest.raises(UnweaveError, match="set n_components to 6 at most"):
        fit(in_memory(x), settings(algorithm), 0, cpu)
    fitted = fit(in_memory(x), settings(algorithm, n_components=6), 0, cpu).dictionary
    torch.testing.assert_close(fitted.decode(fitted.encode(x)), x, atol=1e-3, rtol=1e-3)


@ALGORITHMS
def test_rank_deficient_rows_are_fitted_in_their_span(planted, in_memory, matched_cosines, cpu, algorithm):
    lift = torch.randn(6, 9, generator=torch.Generator().manual_seed(0))
    x = planted.x @ lift
    with pytest.raises(UnweaveError, match="span only 6 directions"):
        fit(in_memory(x), settings(algorithm), 0, cpu)
    fitted = fit(in_memory(x), settings(algorithm, n_components=6), 0, cpu).dictionary
    assert matched_cosines(fitted.atoms, planted.mixing.T @ lift).min() > 0.99


@ALGORITHMS
def test_fewer_rows_than_dimensions_are_refused_with_the_number_needed(in_memory, cpu, algorithm):
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UnweaveError, match=r"span only 4 directions .* use at least 9 tokens"):
        fit(in_memory(x), settings(algorithm), 0, cpu)


@ALGORITHMS
def test_an_outlying_row_takes_a_component_and_shows_in_the_largest_code(planted, in_memory, cpu, algorithm):
    x = planted.x.clone()
    usual = fit(in_memory(x), settings(algorithm), 0, cpu).diagnostics["largest_code"]
    x[100] *= 200 * x.norm(dim=1).median() / x[100].norm()
    outlying = fit(in_memory(x), settings(algorithm), 0, cpu)
    assert usual < 0.4 * math.sqrt(len(x))
    assert outlying.diagnostics["largest_code"] > 0.8 * math.sqrt(len(x))
    assert all(tensor.isfinite().all() for tensor in outlying.dictionary.tensors.values())


def test_an_outlying_row_is_harmless_where_rows_are_scaled_to_unit_norm(planted, in_memory, matched_cosines, cpu):
    x = planted.x.clone()
    x[100] *= 1e4
    for preprocessing in ("row_norm", "geometric_median"):
        chosen = Settings(preprocessing=preprocessing, iterations=30)
        one, other = (fit(in_memory(rows), chosen, 0, cpu).dictionary.readers for rows in (planted.x, x))
        assert matched_cosines(one, other).min() > 0.999


def test_an_outlier_that_hides_all_else_is_refused_with_the_mend(planted, in_memory, cpu):
    x = planted.x.clone()
    x[100] *= 1e7
    with pytest.raises(UnweaveError, match=r"drop outlying rows \(max_norm_ratio\)"):
        fit(in_memory(x), Settings(), 0, cpu)
