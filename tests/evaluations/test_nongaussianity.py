import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from unweave.activations.preprocessing import row_normalised
from unweave.errors import UnweaveError
from unweave.evaluations.nongaussianity import Settings, evaluate, gaussian_kurtosis_limit, shape_along
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary


def mixed(n: int, d: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.laplace(size=(n, d)) @ rng.normal(size=(d, d)) + 3 * rng.normal(size=d)).float()


def directions(count: int, d: int, seed: int = 1) -> torch.Tensor:
    w = torch.randn(count, d, generator=torch.Generator().manual_seed(seed))
    return w / w.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("row_norm", [False, True])
def test_shape_agrees_with_scipy(in_memory, row_norm):
    x, w = mixed(3000, 6), directions(9, 6)
    shape = shape_along(in_memory(x), w, row_norm=row_norm)
    projections = ((row_normalised(x) if row_norm else x).double() @ w.double().T).numpy()
    standard = (projections - projections.mean(axis=0)) / projections.std(axis=0)
    contrast = np.abs(np.log(np.cosh(standard)).mean(axis=0) - 0.374567207491457)
    np.testing.assert_allclose(shape.excess_kurtosis, stats.kurtosis(projections), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(shape.skewness, stats.skew(projections), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(shape.logcosh_deviation, contrast, atol=1e-5)
    coordinates = (row_normalised(x) if row_norm else x).double().numpy().var(axis=0)
    np.testing.assert_allclose(shape.relative_variance, projections.var(axis=0) / coordinates.mean(), rtol=1e-4)


def test_known_distributions_have_their_known_shape(in_memory):
    rng = np.random.default_rng(0)
    n = 200_000
    x = np.stack([rng.normal(size=n), rng.laplace(size=n), rng.uniform(size=n), rng.exponential(size=n)], axis=1)
    shape = shape_along(in_memory(torch.from_numpy(x).float()), torch.eye(4), row_norm=False)
    np.testing.assert_allclose(shape.excess_kurtosis[:3], [0, 3, -1.2], atol=0.12)
    np.testing.assert_allclose(shape.skewness, [0, 0, 0, 2], atol=0.1)
    assert shape.logcosh_deviation[0] < 0.002
    assert (shape.logcosh_deviation[1:] > 0.005).all()


def test_a_mean_far_larger_than_the_spread_does_not_spoil_the_moments(in_memory):
    x = mixed(2000, 4)
    offset = 1000 * x.std()
    plain = shape_along(in_memory(x), torch.eye(4), row_norm=False)
    moved = shape_along(in_memory(x + offset), torch.eye(4), row_norm=False)
    np.testing.assert_allclose(moved.excess_kurtosis, plain.excess_kurtosis, rtol=1e-2)


def test_a_mean_that_float32_cannot_hold_does_not_spoil_them_either(in_memory):
    counts = np.random.default_rng(3).poisson([0.6, 1.4, 2.5], size=(4000, 3))
    x = torch.from_numpy(2.0**25 + 4 * counts).float()
    assert ((x.double().mean(dim=0) - x.double().mean(dim=0).float()).abs() / x.double().std(dim=0)).min() > 0.1
    shape = shape_along(in_memory(x), torch.eye(3), row_norm=False)
    np.testing.assert_allclose(shape.skewness, stats.skew(counts), rtol=1e-4)
    np.testing.assert_allclose(shape.excess_kurtosis, stats.kurtosis(counts), rtol=1e-3)


@settings(max_examples=20)
@given(st.floats(1e-3, 1e3), st.integers(0, 100))
def test_shape_does_not_depend_on_the_scale_or_the_sign_of_the_data(in_memory, scale, seed):
    x, w = mixed(200, 3, seed), directions(3, 3)
    plain = shape_along(in_memory(x), w, row_norm=False)
    scaled = shape_along(in_memory(-scale * x), w, row_norm=False)
    np.testing.assert_allclose(scaled.excess_kurtosis, plain.excess_kurtosis, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled.skewness, -plain.skewness, rtol=1e-3, atol=1e-3)


def test_scores_do_not_depend_on_order_sign_or_length_of_the_readers(make_corpus, make_data):
    corpus = make_corpus(mixed(1000, 5))
    readers = directions(5, 5)
    changed = -3 * readers.flip(0)
    for statistic in ("", "quantile"):
        first, second = (
            [
                score.value
                for score in evaluate(
                    LinearDictionary.build(torch.zeros(5), r, r, row_norm=False),
                    make_data({"c": corpus}),
                    Settings(),
                    0,
                )
                if score.x_name == statistic
            ]
            for r in (readers, changed)
        )
        np.testing.assert_allclose(first, second, rtol=1e-4)


class OnlyAtoms(Dictionary):
    form = "test.OnlyAtoms"

    def encode(self, x):
        raise NotImplementedError

    def decode(self, codes, like=None):
        raise NotImplementedError

    @property
    def atoms(self):
        return self.tensors["atoms"]


def test_a_dictionary_without_readers_is_read_along_its_atoms(make_corpus, make_data):
    w, data = directions(4, 5), make_data({"c": make_corpus(mixed(500, 5))})
    nonlinear = OnlyAtoms({"atoms": 2 * w}, Traits(signed=False, linear=False))
    linear = LinearDictionary.build(torch.zeros(5), w, w, row_norm=False)
    values = [[score.value for score in evaluate(d, data, Settings(), 0)] for d in (nonlinear, linear)]
    np.testing.assert_allclose(*values, rtol=1e-5)


def test_nearly_no_gaussian_direction_and_every_laplacian_one_is_above_the_gaussian_limit(make_corpus, make_data, find):
    rng = np.random.default_rng(0)
    corpora = {
        "gaussian": make_corpus(torch.from_numpy(rng.normal(size=(4000, 20))).float()),
        "laplacian": make_corpus(torch.from_numpy(rng.laplace(size=(4000, 20))).float()),
    }
    axes = LinearDictionary.build(torch.zeros(20), torch.eye(20), torch.eye(20), row_norm=False)
    scores = evaluate(axes, make_data(corpora), Settings(), 0)
    assert find(scores, metric="share_above_gaussian", dataset="gaussian") <= 0.05
    assert find(scores, metric="share_above_gaussian", dataset="laplacian") == 1
    assert find(scores, metric="excess_kurtosis", dataset="laplacian", x_name="") == pytest.approx(3, abs=0.5)


def test_a_family_of_gaussian_samples_rarely_exceeds_the_limit():
    samples = np.random.default_rng(0).normal(size=(100, 10, 4000))
    largest = stats.kurtosis(samples, axis=-1).max(axis=1)
    assert (largest > gaussian_kurtosis_limit(4000, 10)).mean() < 0.12
    assert (largest > gaussian_kurtosis_limit(4000, 1)).mean() > 0.2


def test_quantiles_are_ordered_and_the_mean_has_an_interval_around_it(make_corpus, make_data, make_dictionary):
    scores = evaluate(make_dictionary(6), make_data({"c": make_corpus(mixed(500, 6))}), Settings(), seed=7)
    for metric in ("excess_kurtosis", "absolute_skewness", "logcosh_deviation", "relative_variance"):
        quantiles = [(s.x, s.value) for s in scores if s.metric == metric and s.x_name == "quantile"]
        assert len(quantiles) == len(Settings().quantiles)
        assert [value for _, value in sorted(quantiles)] == sorted(value for _, value in quantiles)
        (mean,) = (s for s in scores if s.metric == metric and not s.x_name)
        assert mean.ci_low <= mean.value <= mean.ci_high
        assert (mean.n, mean.seed) == (6, 7)
    assert [s.x_name for s in scores if s.metric == "share_above_gaussian"] == [""]


def test_a_direction_without_variation_is_refused(in_memory):
    x = mixed(100, 3)
    x[:, 0] = 5
    with pytest.raises(UnweaveError, match="do not vary along 1 of 3 directions"):
        shape_along(in_memory(x), torch.eye(3), row_norm=False)


def test_a_direction_of_hardly_any_variation_beside_the_others_is_refused(in_memory):
    x = 1e6 * mixed(100, 3)
    x[:, 0] = torch.linspace(0, 0.1, 100)
    with pytest.raises(UnweaveError, match="do not vary along 1 of 3 directions"):
        shape_along(in_memory(x), torch.eye(3), row_norm=False)


def test_the_limit_of_gaussian_samples_is_known():
    """Fisher's exact mean and variance of the kurtosis of 100 draws, and 1.645 standard deviations above."""
    variance = 24 * 100 * 98 * 97 / (101**2 * 103 * 105)
    assert gaussian_kurtosis_limit(100, 1) == pytest.approx(-6 / 101 + 1.6448536 * variance**0.5)
    assert gaussian_kurtosis_limit(100, 2) == pytest.approx(-6 / 101 + 1.9545084 * variance**0.5, rel=1e-5)


@given(st.integers(0, 100), st.floats(0.01, 100))
@settings(max_examples=20)
def test_directions_of_an_orthonormal_basis_have_relative_variance_1_on_average(in_memory, seed, scale):
    basis = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(seed)))[0]
    shape = shape_along(in_memory(scale * mixed(200, 5, seed)), basis, row_norm=False)
    assert shape.relative_variance.mean() == pytest.approx(1, abs=1e-5)
