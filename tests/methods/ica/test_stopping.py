"""What ends a fit, and that the diagnostics say so."""

import pytest
from pydantic import ValidationError

from unweave.methods.ica import Settings, fit
from unweave.methods.ica.convergence import Stop


@pytest.mark.parametrize("algorithm", ["symmetric", "lbfgs"])
@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("iterations", {"iterations": 3}),
        ("tolerance", {"iterations": 300, "tolerance": 1e-4}),
        ("p95", {"iterations": 300, "stop_p95": 1e-4}),
        ("plateau", {"iterations": 300, "plateau": 0.3}),
    ],
)
def test_the_rule_that_ends_a_fit_is_recorded(planted, cpu, algorithm, rule, settings):
    fitted = fit(
        planted.activations, Settings(algorithm=algorithm, precision="float32", subsample=0, **settings), 0, cpu
    )
    assert fitted.diagnostics["stopped_by"] == rule
    assert fitted.diagnostics["attempts"][0]["stopped_by"] == rule
    assert (fitted.diagnostics["iterations"] < 300) == (rule != "iterations" or settings["iterations"] == 3)


def test_a_plateau_is_five_iterations_of_little_change(planted, cpu):
    contrast = fit(planted.activations, Settings(iterations=300, plateau=1e-3), 0, cpu).history["contrast"]

    def change(i):
        return abs(contrast[i] - contrast[i - 5]) / contrast[i - 5]

    assert change(len(contrast) - 1) < 1e-3
    assert all(change(i) >= 1e-3 for i in range(5, len(contrast) - 1))


def test_with_held_out_rows_their_contrast_decides():
    rising, flat = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [1.0, 1.0, 1.0, 1.0, 1.0, 0.99]
    stop = Stop(100, plateau=1e-2)
    assert stop.reached({"contrast": rising}, 6) is None
    assert stop.reached({"contrast": flat}, 6) is None
    assert stop.reached({"contrast": rising, "held_out_contrast": flat}, 6) == "plateau"
    assert stop.reached({"contrast": flat[:5]}, 5) is None


def test_held_out_contrast_is_a_curve_of_its_own(gaussian, cpu):
    settings = Settings(algorithm="lbfgs", iterations=100, plateau=0.5, held_out=0.2, precision="float32", subsample=0)
    fitted = fit(gaussian, settings, 0, cpu)
    assert len(fitted.history["held_out_contrast"]) == len(fitted.history["contrast"])
    assert fitted.diagnostics["stopped_by"] == "plateau"


def test_without_iterations_the_random_rotation_is_kept_and_is_whitening_still(planted, cpu):
    fitted = fit(planted.activations, Settings(iterations=0), 0, cpu)
    assert fitted.diagnostics["iterations"] == 0
    assert fitted.diagnostics["max_lim"] is None
    assert fitted.history == {}
    codes = fitted.dictionary.encode(planted.x)
    assert codes.std(0, correction=0).tolist() == pytest.approx([1] * 6, abs=1e-4)
    found = fit(planted.activations, Settings(), 0, cpu).diagnostics["contrast"]
    assert fitted.diagnostics["contrast"] < 0.7 * found


def test_deflation_stops_each_component_by_its_own_movement(planted, cpu):
    fitted = fit(planted.activations, Settings(algorithm="deflation", iterations=100, tolerance=1e-6), 0, cpu)
    sweeps = fitted.history["sweeps"]
    assert len(sweeps) == 6
    assert max(sweeps) < 100
    assert fitted.diagnostics["iterations"] == sum(sweeps)
    assert fitted.diagnostics["stopped_by"] == "tolerance"
    cut = fit(planted.activations, Settings(algorithm="deflation", iterations=2, tolerance=1e-12), 0, cpu)
    assert cut.history["sweeps"] == [2] * 6
    assert cut.diagnostics["stopped_by"] == "iterations"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"iterations": 0, "tolerance": 1e-4}, "0 iterations"),
        ({"iterations": 0, "algorithm": "lbfgs"}, "0 iterations"),
        ({"algorithm": "deflation", "plateau": 1e-4}, "deflation stops"),
        ({"held_out": 0.1, "plateau": 1e-4}, "held_out needs"),
        ({"held_out": 0.1, "algorithm": "lbfgs"}, "held_out needs"),
    ],
)
def test_settings_that_would_have_no_effect_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        Settings(**settings)
