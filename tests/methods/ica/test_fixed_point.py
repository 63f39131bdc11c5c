import numpy as np
import pytest
import torch
from sklearn.decomposition import FastICA

from unweave.activations.source import Statistics
from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.convergence import Stop, spread
from unweave.methods.ica.fixed_point import component_moments, initial_rotation, iterate, step, symmetric_decorrelation
from unweave.methods.ica.run import Run
from unweave.methods.ica.whitening import whitening


def white(x, cpu):
    """Whitened rows, all in float64."""
    x = x.double()
    statistics = Statistics(len(x), x.mean(0).numpy(), np.cov(x.numpy(), rowvar=False, ddof=0), 1.0)
    fitted = whitening(statistics, None, cpu)
    return (x - fitted.mean) @ fitted.matrix.T, fitted


def run(z, start, contrast="logcosh", *, iterations=500, tolerance=None):
    start = start if isinstance(start, Run) else Run(start)
    contrast = CONTRASTS[contrast]
    stop = Stop(start.iterations + iterations, tolerance)
    return iterate(lambda rotation: step(z.split(999), rotation, contrast), start, contrast, stop, title="test")


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_the_fixed_point_is_that_of_scikit_learn(plant, cpu, contrast):
    planted = plant(n=3000, d=5)
    z, fitted = white(planted.x, cpu)
    init = torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    ours = run(z, symmetric_decorrelation(init), contrast, tolerance=1e-14)
    peer = FastICA(
        fun=contrast, w_init=init.numpy(), tol=1e-14, max_iter=500, whiten="unit-variance", whiten_solver="eigh"
    ).fit(planted.x.double().numpy())
    readers = (ours.rotation @ fitted.matrix).numpy()
    np.testing.assert_allclose(readers, peer.components_, rtol=0, atol=1e-6 * np.abs(readers).max())


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_every_iterate_is_that_of_scikit_learn(plant, cpu, contrast):
    planted = plant(n=2000, d=4)
    z, fitted = white(planted.x, cpu)
    init = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for iterations in (1, 2, 5):
        ours = run(z, symmetric_decorrelation(init), contrast, iterations=iterations)
        with pytest.warns(UserWarning, match="did not converge"):
            peer = FastICA(
                fun=contrast,
                w_init=init.numpy(),
                tol=0,
                max_iter=iterations,
                whiten="unit-variance",
                whiten_solver="eigh",
            ).fit(planted.x.double().numpy())
        np.testing.assert_allclose((ours.rotation @ fitted.matrix).numpy(), peer.components_, rtol=1e-9, atol=1e-9)


def test_a_rotation_stays_orthogonal_when_an_update_is_ill_conditioned():
    generator = torch.Generator().manual_seed(0)
    q = initial_rotation(40, 0, torch.device("cpu"))
    scales = torch.logspace(0, -4, 40, dtype=torch.float64)
    orthogonal = symmetric_decorrelation(q * scales @ initial_rotation(40, 1, torch.device("cpu")))
    torch.testing.assert_close(orthogonal @ orthogonal.T, torch.eye(40, dtype=torch.float64), atol=1e-7, rtol=0)
    matrix = torch.randn(40, 40, dtype=torch.float64, generator=generator)
    u, _, vh = torch.linalg.svd(matrix)
    torch.testing.assert_close(symmetric_decorrelation(matrix), u @ vh)


def test_an_iteration_does_not_depend_on_how_rows_are_cut_into_blocks(planted, cpu):
    z, _ = white(planted.x, cpu)
    rotation = initial_rotation(6, 0, cpu)
    whole, contrast = step([z], rotation, CONTRASTS["logcosh"])
    cut, cut_contrast = step(z.split(777), rotation, CONTRASTS["logcosh"])
    torch.testing.assert_close(cut, whole)
    torch.testing.assert_close(cut_contrast, contrast)


def test_the_iteration_stops_when_the_slowest_component_is_within_the_tolerance_and_not_before(plant, cpu):
    planted = plant(n=2000, d=40, gaussian=2)
    z, _ = white(planted.x, cpu)
    stopped = run(z, initial_rotation(40, 0, cpu), tolerance=1e-4)
    slowest, most = stopped.history["lim_max"], stopped.history["lim_p95"]
    assert slowest[-1] < 1e-4 <= min(slowest[:-1])
    assert most[-2] < 1e-4
    assert stopped.iterations < 500


def test_every_curve_has_one_value_per_iteration_and_continuing_appends(planted, cpu):
    z, _ = white(planted.x, cpu)
    start = run(z, initial_rotation(6, 0, cpu), iterations=4)
    on = run(z, start, iterations=3)
    straight = run(z, initial_rotation(6, 0, cpu), iterations=7)
    assert {name: len(values) for name, values in on.history.items()} == dict.fromkeys(
        ("lim_max", "lim_p95", "lim_median", "lim_mean", "contrast", "contrast_p10", "contrast_p50", "contrast_p90"), 7
    )
    torch.testing.assert_close(on.rotation, straight.rotation)
    assert start.iterations == 4


def test_contrast_rises_from_a_random_rotation_to_the_sources(planted, cpu):
    z, _ = white(planted.x, cpu)
    contrast = run(z, initial_rotation(6, 0, cpu), iterations=20).history["contrast"]
    assert contrast[-1] > 1.5 * contrast[0]


def test_the_measured_covariance_shows_rows_that_are_not_white(planted, cpu):
    z, _ = white(planted.x, cpu)
    rotation = initial_rotation(6, 0, cpu)
    identity = torch.eye(6, dtype=torch.float64)
    measured = component_moments(z.split(500), rotation, CONTRASTS["cube"]).covariance
    torch.testing.assert_close(measured, identity, atol=1e-5, rtol=0)
    stretched = component_moments((2 * z).split(500), rotation, CONTRASTS["cube"]).covariance
    torch.testing.assert_close(stretched, 4 * identity, atol=1e-4, rtol=0)


def test_skewness_is_that_of_scipy(planted, cpu):
    from scipy.stats import skew

    z, _ = white(planted.x, cpu)
    rotation = initial_rotation(6, 0, cpu)
    moments = component_moments(z.split(500), rotation, CONTRASTS["logcosh"])
    np.testing.assert_allclose(moments.skewness.numpy(), skew((z @ rotation.T).numpy()), atol=1e-5)


def test_the_initial_rotation_depends_on_the_seed_alone(cpu):
    assert torch.equal(initial_rotation(5, 7, cpu), initial_rotation(5, 7, cpu))
    assert not torch.equal(initial_rotation(5, 7, cpu), initial_rotation(5, 8, cpu))


def test_curves_hold_percentiles_of_the_contrast_in_order():
    deviations = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert spread(deviations) == pytest.approx(
        {"contrast": 0.5, "contrast_p10": 0.1, "contrast_p50": 0.5, "contrast_p90": 0.9}
    )


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e10])
@pytest.mark.parametrize("rank", [1, 2])
def test_the_nearest_rotation_of_a_singular_matrix_is_finite_and_stretches_nothing(size, rank):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(6, rank, dtype=torch.float64, generator=generator) for _ in range(2))
    orthogonal = symmetric_decorrelation(size * left @ right.T)
    values = torch.linalg.svdvals(orthogonal)
    torch.testing.assert_close(values[:rank], torch.ones(rank, dtype=torch.float64))
    assert values[rank] < 1.5


def test_a_run_of_no_iterations_changes_nothing(planted, cpu):
    z, _ = white(planted.x, cpu)
    start = initial_rotation(6, 0, cpu)
    ended = run(z, start, iterations=0)
    assert (ended.stopped_by, ended.iterations) == ("iterations", 0)
    assert torch.equal(ended.rotation, start)


@pytest.mark.parametrize("scale", [1.0, 0.01])
def test_moments_are_means_over_all_rows(planted, cpu, scale):
    z = scale * white(planted.x, cpu)[0]
    rotation = initial_rotation(6, 0, cpu)
    s = z @ rotation.T
    moments = component_moments(z.split(500), rotation, CONTRASTS["logcosh"])
    torch.testing.assert_close(moments.contrast, s.cosh().log().mean(0))
    torch.testing.assert_close(moments.slope, (s.tanh() * s).mean(0))
    assert moments.largest == pytest.approx(float(s.abs().max()))
    torch.testing.assert_close(step(z.split(500), rotation, CONTRASTS["logcosh"])[1], moments.contrast)
