import numpy as np
import pytest
import torch

from unweave.methods.ica import Settings, fit
from unweave.methods.ica.contrasts import CONTRASTS, logcosh_simd
from unweave.methods.ica.convergence import Stop
from unweave.methods.ica.descent import Memory, Point, Rows, descend, rotated
from unweave.methods.ica.fixed_point import initial_rotation, step
from unweave.methods.ica.run import Run
from unweave.methods.ica.solver import Subsample
from unweave.methods.ica.sweep import fixed_point, sweep
from unweave.methods.ica.whitening import whitening

LOGCOSH = CONTRASTS["logcosh"]


@pytest.fixture(scope="module")
def white(planted):
    """Whitened planted rows in float64."""
    fitted = whitening(planted.activations.statistics(row_norm=False), None, torch.device("cpu"))
    x = planted.x.double()
    z = (x - x.mean(0)) @ fitted.matrix.T
    values, axes = torch.linalg.eigh(z.T @ z / len(z))
    return z @ (axes / values.sqrt()) @ axes.T


def skew(seed, q=6, size=1.0):
    drawn = torch.randn(q, q, generator=torch.Generator().manual_seed(seed))
    return size * (drawn - drawn.T)


def test_vectorised_log_cosh_is_the_contrast_to_float32_precision():
    for rows in (1, 3, 255, 256, 1000):
        p = 3 * torch.randn(rows, 7, generator=torch.Generator().manual_seed(rows))
        p[0, 0] = 300
        fast, exact = p.clone(), p.double()
        total, derivative = logcosh_simd(fast, torch.empty_like(p))
        expected = LOGCOSH.evaluate(exact, torch.empty_like(exact))
        torch.testing.assert_close(total.double(), expected[0], rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(derivative.double(), expected[1], rtol=1e-4, atol=1e-4 * rows)
        torch.testing.assert_close(fast.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_a_fixed_point_step_from_a_sweep_is_that_of_fast_ica(white, cpu, contrast):
    rotation = initial_rotation(6, 1, cpu)
    expected = step(white.split(999), rotation, CONTRASTS[contrast])
    found = fixed_point(lambda: white.split(999), CONTRASTS[contrast], rotation)
    torch.testing.assert_close(found, expected)


def test_a_sweep_in_bfloat16_is_one_in_float32_to_its_precision(white, cpu):
    rotation = initial_rotation(6, 1, cpu)
    exact = sweep(white.float().split(1024), rotation, LOGCOSH)
    rough = sweep(white.bfloat16().split(1024), rotation, LOGCOSH)
    torch.testing.assert_close(rough.products, exact.products, rtol=0, atol=3e-3)
    torch.testing.assert_close(rough.contrast, exact.contrast, rtol=0, atol=1e-3)


def test_held_out_blocks_count_only_as_held_out(white, cpu):
    rotation = initial_rotation(6, 1, cpu)
    blocks = white.split(500)
    both = sweep(blocks, rotation, LOGCOSH, held_out_every=3)
    fitted = sweep([block for i, block in enumerate(blocks) if i % 3 != 2], rotation, LOGCOSH)
    others = sweep(blocks[2::3], rotation, LOGCOSH)
    torch.testing.assert_close(both.products, fitted.products)
    torch.testing.assert_close(both.contrast, fitted.contrast)
    torch.testing.assert_close(both.held_out, others.contrast)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_the_gradient_is_the_derivative_of_the_loss_along_a_rotation(white, cpu, contrast):
    rotation = initial_rotation(6, 2, cpu)
    point = Point.of(sweep([white], rotation, CONTRASTS[contrast]))
    direction, h = skew(3), 1e-5
    ahead, behind = (
        Point.of(sweep([white], torch.matrix_exp(sign * h * direction.double()) @ rotation, CONTRASTS[contrast]))
        for sign in (1, -1)
    )
    numeric = (ahead.loss(point.signs) - behind.loss(point.signs)) / (2 * h)
    assert float((point.gradient * direction).sum()) == pytest.approx(numeric, rel=1e-3)
    torch.testing.assert_close(point.gradient, -point.gradient.T)


@pytest.mark.parametrize("size", [1e-4, 0.3, 2.0])
def test_a_rotated_rotation_is_orthogonal_and_turned_by_the_exponential(cpu, size):
    rotation = initial_rotation(30, 0, cpu)
    direction = skew(1, 30, size / 8)
    turned = rotated(direction, rotation)
    torch.testing.assert_close(turned @ turned.T, torch.eye(30, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(turned, torch.matrix_exp(direction.double()) @ rotation, atol=1e-5, rtol=0)


def test_no_component_turns_by_more_than_a_radian_in_a_step(white, cpu):
    point = Point.of(sweep([white], initial_rotation(6, 2, cpu), LOGCOSH))
    steep = Point(point.sweep, point.signs, 1e6 * point.gradient, point.curvature)
    assert float(Memory({}).direction(steep).norm(dim=1).max()) == pytest.approx(1, abs=1e-5)


def test_a_memory_that_points_uphill_is_dropped(white, cpu):
    point = Point.of(sweep([white], initial_rotation(6, 2, cpu), LOGCOSH))
    gradient = point.gradient.float()
    memory = Memory({"step0": gradient, "change0": -1e-3 * gradient})
    direction = memory.direction(point)
    assert float((direction * point.gradient).sum()) < 0
    assert not memory.pairs


def test_the_loss_falls_in_every_step_and_each_accepted_step_costs_one_sweep(white, cpu):
    start = Run(initial_rotation(6, 0, cpu))
    run = descend([Rows(lambda: white.split(1000))], start, LOGCOSH, Stop(12), title="test")
    contrast = run.history["contrast"]
    assert contrast == sorted(contrast)
    assert run.iterations == 12
    assert run.stopped_by == "iterations"
    assert 13 <= run.facts["passes"] <= 16


def test_descent_ends_where_fast_ica_ends_and_where_the_gradient_is_zero(white, matched_cosines, cpu):
    run = descend([Rows(lambda: [white])], Run(initial_rotation(6, 0, cpu)), LOGCOSH, Stop(40), title="test")
    rotation = initial_rotation(6, 0, cpu)
    for _ in range(60):
        rotation, _ = step([white], rotation, LOGCOSH)
    assert float(Point.of(sweep([white], run.rotation, LOGCOSH)).gradient.abs().max()) < 1e-6
    assert matched_cosines(run.rotation, rotation).min() > 1 - 1e-9


def test_components_on_either_side_of_the_gaussian_move_away_from_it(in_memory, matched_cosines, cpu):
    generator = np.random.default_rng(0)
    sources = np.concatenate([generator.laplace(size=(8000, 3)), generator.uniform(-1, 1, size=(8000, 3))], axis=1)
    mixing = generator.normal(size=(6, 6)) + np.eye(6)
    x = torch.tensor(sources @ mixing.T, dtype=torch.float32)
    fitted = fit(in_memory(x), Settings(algorithm="lbfgs", iterations=60), 0, cpu).dictionary
    assert matched_cosines(fitted.atoms, torch.tensor(mixing.T)).min() > 0.99


def test_a_subsample_is_white_by_itself_and_its_rotation_carries_over(white):
    rows = white[:2000].float() * torch.tensor([1.0, 2, 1, 1, 0.5, 1])
    subsample = Subsample.of(rows.clone())
    z = subsample.rows.double()
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(6, dtype=torch.float64), atol=1e-4, rtol=0)
    centred = rows.double() - rows.double().mean(0)
    torch.testing.assert_close(z, centred @ subsample.matrix.T, atol=1e-4, rtol=1e-4)


def test_a_direction_that_the_subsample_lacks_is_not_blown_up(white):
    rows = white[:2000].float()
    rows[:, 2] *= 1e-4
    assert Subsample.of(rows).matrix.abs().max() < 11


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_the_stages_of_a_fast_fit_recover_planted_sources(planted, cpu, matched_cosines, precision):
    settings = Settings(algorithm="lbfgs", iterations=12, precision=precision)
    fitted = fit(planted.activations, settings, 0, cpu)
    assert matched_cosines(fitted.dictionary.atoms, planted.mixing.T).min() > 0.99
    # 12 fixed-point steps, then a descent of 6 or until the few rows leave nothing to gain.
    assert 12 < len(fitted.history["subsample_contrast"]) <= 18
    assert fitted.diagnostics["precision"] == precision
    assert fitted.diagnostics["iterations"] <= 12
    assert fitted.diagnostics["orthogonality"] < 1e-9


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_a_streamed_fast_fit_equals_a_resident_one(planted, cpu, precision):
    settings = Settings(algorithm="lbfgs", iterations=10, precision=precision, plateau=1e-9, held_out=0.2)
    resident = fit(planted.activations, settings, 0, cpu)
    streamed = fit(planted.activations, settings.model_copy(update={"memory_gb": 0.0}), 0, cpu)
    assert streamed.history == resident.history
    assert torch.equal(streamed.dictionary.readers, resident.dictionary.readers)


def test_the_last_steps_after_bfloat16_are_in_float32(planted, cpu):
    exact = fit(planted.activations, Settings(algorithm="lbfgs", iterations=60, precision="float32"), 0, cpu)
    mixed = fit(planted.activations, Settings(algorithm="lbfgs", iterations=60, precision="bfloat16"), 0, cpu)
    assert mixed.diagnostics["contrast"] == pytest.approx(exact.diagnostics["contrast"], rel=1e-5)
    assert mixed.history["gradient_rms"][-1] < 1e-3
    assert mixed.dictionary.tensors["readers"].dtype == torch.float32
