import pytest
import torch

from unweave.methods.ica import Settings
from unweave.methods.ica.convergence import judge, movement, summary

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
