import pytest
import torch

from unweave.methods.ica import Settings, fit
from unweave.methods.ica.stability import matched_cosines


def test_a_permuted_and_flipped_basis_matches_itself_exactly():
    readers = torch.randn(9, 12, generator=torch.Generator().manual_seed(0))
    others = (readers * torch.tensor([1.0, -2, 3, -4, 5, -6, 7, -8, 9])[:, None])[torch.randperm(9)]
    torch.testing.assert_close(matched_cosines(readers, others), torch.ones(9, dtype=torch.float64))


def test_the_match_is_one_to_one_and_of_largest_total():
    readers = torch.tensor([[1.0, 0.0], [0.9, 0.4359]])
    # Both are nearest to the first, which only one can have.
    cosines = matched_cosines(readers, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert cosines.tolist() == pytest.approx([1, 0.4359], abs=1e-3)


def test_components_without_a_partner_count_as_lost():
    cosines = matched_cosines(torch.eye(3), torch.eye(3)[:2])
    assert cosines.tolist() == [1, 1, 0]


@pytest.mark.parametrize("algorithm", ["symmetric", "lbfgs"])
def test_planted_sources_are_stable_over_seeds_and_gaussian_ones_are_not(plant, cpu, algorithm):
    planted = plant(n=8000, d=8, gaussian=3)
    fitted = fit(planted.activations, Settings(algorithm=algorithm, iterations=60, ensemble=3), 0, cpu)
    stability = torch.tensor(fitted.diagnostics["stability"])
    # Strength order puts the three Gaussian sources last.
    assert stability[:5].min() > 0.98
    # The descent gets to the optimum of these very rows, which even Gaussian sources have: 1 against 1.
    if algorithm == "symmetric":
        assert stability[5:].max() < stability[:5].min()
    assert stability[:5].min() > fitted.diagnostics["stability_null_p95"]
    assert 0 < fitted.diagnostics["stability_null_mean"] < 1
    assert [fit["seed"] for fit in fitted.diagnostics["ensemble"]] == [2, 4, 6]


def test_an_ensemble_leaves_the_returned_fit_as_it_is(planted, cpu):
    alone = fit(planted.activations, Settings(iterations=5), 0, cpu)
    among = fit(planted.activations, Settings(iterations=5, ensemble=1), 0, cpu)
    assert alone.history == among.history
    assert torch.equal(alone.dictionary.readers, among.dictionary.readers)


def test_random_directions_are_as_stable_as_the_null(planted, cpu):
    facts = fit(planted.activations, Settings(iterations=0, ensemble=4), 0, cpu).diagnostics
    assert sum(facts["stability"]) / 6 == pytest.approx(facts["stability_null_mean"])
