"""Preprocessing of rows, the geometric median above all."""

import pytest
import torch

from unweave.activations.geometric_median import geometric_median, median_normalised, median_normalised_statistics
from unweave.errors import UnweaveError
from unweave.methods.dictionary import Fit, load, save
from unweave.methods.ica import Settings, fit

MEDIAN = Settings(preprocessing="geometric_median", iterations=30)


def cost(x, m):
    return (x.double() - m).norm(dim=1).sum()


def test_no_point_around_the_median_is_nearer_to_the_rows(planted, in_memory, cpu):
    x = planted.x[:500]
    median = geometric_median(in_memory(x), cpu)
    generator = torch.Generator().manual_seed(0)
    for size in (1e-3, 1e-1, 1.0):
        for _ in range(20):
            nudge = size * torch.randn(6, dtype=torch.float64, generator=generator)
            assert cost(x, median + nudge) > cost(x, median)


def test_the_median_of_a_symmetric_cloud_is_its_centre_whatever_an_outlier_does(in_memory, cpu):
    half = torch.randn(400, 5, generator=torch.Generator().manual_seed(0))
    x = torch.cat([half, -half]) + 3
    torch.testing.assert_close(geometric_median(in_memory(x), cpu).float(), torch.full((5,), 3.0), atol=1e-4, rtol=0)
    x[0] = 1e6
    moved = geometric_median(in_memory(x), cpu).float() - 3
    assert moved.norm() < 0.05 < (x.mean(0) - 3).norm()


def test_the_median_follows_a_shift_and_a_rotation(planted, in_memory, cpu):
    x = planted.x[:800]
    turn, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))
    one, other = geometric_median(in_memory(x), cpu), geometric_median(in_memory(x @ turn + 5), cpu)
    torch.testing.assert_close(other, one @ turn.double() + 5, atol=1e-4, rtol=1e-4)


def test_a_median_that_lies_on_rows_is_found(in_memory, cpu):
    x = torch.cat([torch.zeros(50, 3), torch.randn(40, 3, generator=torch.Generator().manual_seed(0))])
    assert geometric_median(in_memory(x), cpu).norm() < 1e-3


def test_statistics_are_those_of_the_normalised_rows(planted, in_memory, cpu):
    median = geometric_median(in_memory(planted.x), cpu)
    z = median_normalised(planted.x, median.float()).double()
    found = median_normalised_statistics(in_memory(planted.x), median)
    torch.testing.assert_close(torch.from_numpy(found.mean), z.mean(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.from_numpy(found.covariance), torch.cov(z.T, correction=0), atol=1e-6, rtol=0)
    assert found.mean_norm == pytest.approx(float(planted.x.norm(dim=1).mean()), rel=1e-5)


def test_decoding_restores_the_distance_from_the_median(planted, cpu, tmp_path):
    fitted = fit(planted.activations, MEDIAN, 0, cpu)
    dictionary = fitted.dictionary
    assert dictionary.traits.normalisation == "median_norm"
    codes = dictionary.encode(planted.x)
    assert codes.std(0, correction=0).tolist() == pytest.approx([1] * 6, abs=1e-3)
    torch.testing.assert_close(dictionary.decode(codes, like=planted.x), planted.x, rtol=1e-3, atol=2e-3)
    save(Fit(dictionary), tmp_path / "saved", {})
    assert torch.equal(load(tmp_path / "saved").encode(planted.x), codes)


def test_scaling_rows_about_the_median_changes_no_code(planted, cpu):
    dictionary = fit(planted.activations, MEDIAN, 0, cpu).dictionary
    median = dictionary.tensors["median"]
    scaled = median + 4 * (planted.x - median)
    torch.testing.assert_close(dictionary.encode(scaled), dictionary.encode(planted.x), atol=1e-2, rtol=1e-3)


def test_a_median_of_values_that_are_not_finite_is_refused(planted, in_memory, cpu):
    x = planted.x[:500].clone()
    x[3, 1] = torch.inf
    with pytest.raises(UnweaveError, match="NaN or infinite"):
        fit(in_memory(x), MEDIAN, 0, cpu)
