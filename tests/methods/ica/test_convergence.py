import pytest
import torch

from unweave.methods.ica import Settings
from unweave.methods.ica.convergence import Stop, judge, movement, summary

V1 = Settings(iterations=10, tolerance=1e-4, accept_p95=1e-3)


def test_a_component_that_only_flips_its_sign_has_not_moved():
    identity = torch.eye(3, dtype=torch.float64)
    assert movement(-identity, identity).tolist() == [0, 0, 0]


def test_a_component_that_turned_by_an_angle_moved_by_one_minus_its_cosine():
    angle = torch.tensor(0.3, dtype=torch.float64)
    turned = torch.stack([torch.stack([angle.cos(), angle.sin()]), torch.stack([-angle.sin(), angle.cos()])])
    torch.testing.assert_close(movement(turned, torch.eye(2, dtype=torch.float64)), (1 - angle.cos()).expand(2))


def test_the_summary_interpolates_quantiles_linearly():
    facts = summary(torch.arange(5, dtype=torch.float64))
    assert facts == {"lim_max": 4, "lim_p95": pytest.approx(3.8), "lim_median": 2, "lim_mean": 2}


@pytest.mark.parametrize(
    ("max_lim", "p95_lim", "converged", "accepted"),
    [(9e-5, 1e-5, True, True), (5e-2, 1e-3, False, True), (5e-2, 2e-3, False, False)],
)
def test_a_fit_is_accepted_when_all_or_95_percent_of_the_components_settled(max_lim, p95_lim, converged, accepted):
    verdict = judge(max_lim, p95_lim, V1)
    assert (verdict.converged, verdict.accepted) == (converged, accepted)


def test_without_a_percentile_rule_only_the_tolerance_accepts():
    assert not judge(5e-2, 1e-9, Settings(tolerance=1e-4)).accepted


def test_a_fit_of_fixed_length_is_accepted_and_not_called_converged():
    verdict = judge(0.9, 0.9, Settings(iterations=50))
    assert verdict.accepted
    assert verdict.converged is None


def test_a_fit_at_the_tolerance_is_not_below_it():
    assert judge(1e-4, 1.0, V1).converged is False


def test_a_fit_whose_95th_percentile_is_well_within_the_limit_is_accepted():
    assert judge(5e-2, 5e-4, V1).accepted


@pytest.mark.parametrize("lims", [(None, 0.5), (0.5, None)])
def test_a_fit_whose_movement_was_never_measured_gets_no_verdict(lims):
    assert judge(*lims, V1).converged is None


def test_a_run_ends_after_its_iterations_and_not_before():
    assert [Stop(3).reached({}, done) for done in range(5)] == [None, None, None, "iterations", "iterations"]


@pytest.mark.parametrize(("rule", "curve"), [("tolerance", "lim_max"), ("p95", "lim_p95")])
@pytest.mark.parametrize(
    ("values", "reached"), [([0.5, 0.3, 0.05], True), ([0.5, 0.05, 0.2], False), ([0.05, 0.3, 0.1], False)]
)
def test_a_limit_of_movement_ends_a_run_once_its_last_value_is_below(rule, curve, values, reached):
    assert Stop(10, **{rule: 0.1}).reached({curve: values}, 3) == (rule if reached else None)


CURVE = [100.0, 1.0, 1.2, 1.4, 1.2, 1.1]


@pytest.mark.parametrize("scale", [1.0, 10.0])
@pytest.mark.parametrize(("last", "flat"), [(1.02, True), (1.05, False), (0.98, True), (0.9, False)])
def test_a_contrast_that_five_iterations_have_hardly_changed_is_flat(scale, last, flat):
    curve = [scale * value for value in [*CURVE, last]]
    assert Stop(10, plateau=0.03).reached({"contrast": curve}, 7) == ("plateau" if flat else None)


def test_a_change_at_the_limit_is_not_below_it():
    assert Stop(10, plateau=0.25).reached({"contrast": [1.0, 2, 2, 2, 2, 1.25]}, 6) is None


@pytest.mark.parametrize(("iterations", "flat"), [(4, False), (5, False), (6, True), (7, True)])
def test_flatness_is_judged_once_there_are_five_iterations_to_look_back(iterations, flat):
    history = {"contrast": [1.0] * iterations}
    assert (Stop(10, plateau=0.1).reached(history, iterations) == "plateau") is flat


@pytest.mark.parametrize(("last", "flat"), [(1.02, True), (1.05, False), (0.5, True)])
def test_a_contrast_of_held_out_rows_that_no_longer_rises_decides_instead(last, flat):
    history = {"contrast": [float(step) for step in range(7)], "held_out_contrast": [*CURVE, last]}
    assert (Stop(10, plateau=0.03).reached(history, 7) == "plateau") is flat


def test_a_stop_of_another_length_keeps_the_rules():
    settings = Settings(tolerance=1e-4, stop_p95=1e-3, plateau=1e-2)
    assert Stop.after(7, settings) == Stop(7, tolerance=1e-4, p95=1e-3, plateau=1e-2)
