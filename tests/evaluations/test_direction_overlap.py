import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.direction_overlap import ANISOTROPIC, NULL, Settings, evaluate, nearest, root_of_second_moment

D = 24
PCA = Settings(rival="pca", rival_settings={})


@pytest.fixture
def data(make_corpus, make_data):
    spread = torch.linspace(3, 0.3, D)
    rows = torch.randn(2000, D, generator=torch.Generator().manual_seed(0)) * spread
    return make_data({"c": make_corpus(rows)})


def test_atoms_that_the_rival_finds_too_are_near_and_random_ones_are_at_the_null(data, make_dictionary, find):
    axes = make_dictionary(D)
    axes.tensors.update(readers=torch.eye(D), atoms=torch.eye(D))
    scores = evaluate(axes, data, PCA, 0)
    assert find(scores, metric="nearest_cosine", label="") > 0.7
    assert find(scores, metric="beyond_null", label="") > 0.6
    assert find(scores, metric="near_share", label=NULL) < 0.2
    unrelated = evaluate(make_dictionary(D), data, PCA, 0)
    gap = find(unrelated, metric="nearest_cosine", label="") - find(unrelated, metric="nearest_cosine", label=NULL)
    assert abs(gap) < 0.08


@given(st.integers(0, 99))
def test_order_signs_and_lengths_do_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    atoms, others = torch.randn(5, D, generator=generator), torch.randn(9, D, generator=generator)
    changed = -3 * others[torch.randperm(9, generator=generator)]
    assert nearest(atoms, others) == pytest.approx(nearest(2 * atoms, changed))
    assert nearest(others, others) == pytest.approx([1] * 9)
    assert nearest(torch.zeros(1, D), others)[0] == 0


def test_directions_of_the_null_lean_as_the_rivals_do(data, make_dictionary, find):
    atoms = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0, 0.2])
    root = root_of_second_moment(atoms)
    unit = torch.nn.functional.normalize(atoms).double()
    torch.testing.assert_close(root @ root, unit.T @ unit / 4000)
    scores = evaluate(make_dictionary(D), data, PCA, 0)
    assert 0 < find(scores, metric="nearest_cosine", label=ANISOTROPIC) < 1
    assert 0 <= find(scores, metric="beyond_covariance_null", label="") <= 1


def test_atoms_of_another_width_and_an_unknown_rival_are_refused(data, make_dictionary):
    with pytest.raises(UnweaveError, match="leave transcoders out"):
        evaluate(make_dictionary(D + 1), data, PCA, 0)
    with pytest.raises(UnweaveError, match="nonsense"):
        evaluate(make_dictionary(D), data, Settings(rival="nonsense", rival_settings={}), 0)
