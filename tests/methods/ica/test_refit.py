import pytest
import torch

from unweave.methods.checkpoint import NOTHING_KEPT
from unweave.methods.ica import Settings
from unweave.methods.ica.preparation import prepare
from unweave.methods.ica.refit import attempts, chosen
from unweave.methods.ica.run import Journal
from unweave.methods.ica.solver import Solver
from unweave.methods.ica.whitening import whitening


def made(activations, settings, cpu, seed=0):
    preparation = prepare(activations, settings.preprocessing, cpu)
    fitted = whitening(preparation.statistics, settings.n_components, cpu)
    solver = Solver(activations, fitted, preparation, settings, Journal(NOTHING_KEPT, cpu), cpu)
    return attempts(solver, seed)


def never(refits):
    """Settings that no fit of noise meets."""
    return Settings(iterations=3, tolerance=1e-13, accept_p95=1e-13, refits=refits, refit_iterations=2)


@pytest.fixture
def noise(in_memory):
    return in_memory(torch.randn(900, 20, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("refits", [0, 1, 2, 3])
def test_rejections_take_the_steps_in_order_and_each_is_recorded(noise, cpu, refits):
    steps = made(noise, never(refits), cpu, seed=4)
    expected = [
        {"step": "first", "seed": 4, "n_components": 20, "iterations": 3},
        {"step": "continue", "seed": 4, "n_components": 20, "iterations": 5},
        {"step": "reseed", "seed": 5, "n_components": 20, "iterations": 3},
        {"step": "reduce", "seed": 4, "n_components": 19, "iterations": 3},
    ][: 1 + refits]
    records = [attempt.record() for attempt in steps]
    assert [{key: record[key] for key in expected[0]} for record in records] == expected
    assert not any(record["accepted"] for record in records)


def test_no_step_is_taken_after_one_that_is_accepted(planted, cpu):
    settings = Settings(iterations=1, tolerance=1e-4, refits=3, refit_iterations=300)
    steps = made(planted.activations, settings, cpu)
    assert [attempt.step for attempt in steps] == ["first", "continue"]
    assert chosen(steps) is steps[-1]
    assert chosen(steps).verdict.converged


def test_continuing_is_the_same_as_having_run_longer(planted, cpu):
    continued = made(planted.activations, Settings(iterations=2, tolerance=1e-6, refits=1, refit_iterations=300), cpu)
    straight = made(planted.activations, Settings(iterations=302, tolerance=1e-6), cpu)
    assert continued[-1].run.history == straight[0].run.history
    assert torch.equal(continued[-1].run.rotation, straight[0].run.rotation)


def test_starting_again_is_a_first_fit_of_the_next_seed(noise, cpu):
    reseeded = made(noise, never(2), cpu, seed=4)[-1]
    (first,) = made(noise, never(0), cpu, seed=5)
    assert reseeded.run.history == first.run.history


@pytest.mark.parametrize("seed", range(4))
def test_when_all_are_rejected_the_one_of_largest_contrast_is_taken(noise, cpu, seed):
    steps = made(noise, never(3), cpu, seed)
    reached = [attempt.run.history["contrast"][-1] for attempt in steps]
    assert chosen(steps) is steps[reached.index(max(reached))]


def test_reaching_the_tolerance_in_the_last_allowed_iteration_is_convergence(planted, cpu):
    needed = made(planted.activations, Settings(iterations=500, tolerance=1e-4), cpu)[0].run.iterations
    (exact,) = made(planted.activations, Settings(iterations=needed, tolerance=1e-4, refits=3), cpu)
    assert exact.verdict.converged
    short = made(planted.activations, Settings(iterations=needed - 1, tolerance=1e-4), cpu)[0]
    assert not short.verdict.converged
