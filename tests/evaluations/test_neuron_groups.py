import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.neuron_groups import Settings, _effects, amplified_groups, evaluate, random_like
from unweave.evaluations.neuron_groups.supports import core, exclusive, features_of_terms, jaccard, supports

D = 40


def family(terms=4, shared=6, alone=3, seed=0):
    """Atoms with `shared` neurons in common and `alone` of their own."""
    rng = np.random.default_rng(seed)
    atoms = 0.01 * rng.standard_normal((terms, D))
    atoms[:, :shared] += 2
    for term in range(terms):
        start = shared + term * alone
        atoms[term, start : start + alone] += 3
    return atoms


def test_shared_and_own_neurons_are_told_apart():
    masks = supports(family(), 9 / D)
    assert np.flatnonzero(core(masks, 4)).tolist() == list(range(6))
    for term, alone in enumerate(exclusive(masks)):
        assert np.flatnonzero(alone).tolist() == list(range(6 + 3 * term, 9 + 3 * term))
    assert jaccard(masks)[0, 1] == pytest.approx(6 / 12)


@given(st.integers(0, 99))
def test_overlap_is_symmetric_one_with_itself_and_blind_to_signs_and_scale(seed):
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((5, D))
    changed = atoms * rng.choice([-1, 1], atoms.shape) * rng.uniform(0.5, 9, (5, 1))
    one, other = (jaccard(supports(a, 0.2)) for a in (atoms, changed))
    np.testing.assert_allclose(one, other)
    np.testing.assert_allclose(one, one.T)
    np.testing.assert_allclose(np.diag(one), 1)


def test_atoms_of_zeros_have_no_support():
    masks = supports(np.zeros((2, D)), 0.5)
    assert not masks.any()
    assert (jaccard(masks) == 0).all()


def test_every_term_gets_the_feature_that_it_raises_and_no_two_the_same():
    place = np.repeat(np.arange(3), 5)
    belongs = np.ones(15, dtype=bool)
    codes = 0.1 * np.random.default_rng(0).random((15, 6))
    for term, feature in enumerate((4, 1, 5)):
        codes[place == term, feature] += 1
    assert features_of_terms(codes, belongs, place, 3).tolist() == [4, 1, 5]


def test_groups_come_with_random_neurons_in_their_place():
    masks = supports(family(), 9 / D)
    groups = amplified_groups(masks, family(), Settings(), np.random.default_rng(0))
    assert [g.kind for g in groups].count("core") == 3
    assert [g.kind for g in groups].count("exclusive") == 12
    for start in range(0, len(groups), 3):
        assert len({int((g.weights != 0).sum()) for g in groups[start : start + 3]}) == 1


def test_effects_are_differences_to_siblings_and_to_the_other_family(find):
    masks = supports(family(), 9 / D)
    groups = amplified_groups(masks, family(), Settings(), np.random.default_rng(0))
    changes = np.zeros((len(groups), 2, 10))
    own, others = np.arange(4), np.arange(4, 8)
    for group, change in zip(groups, changes, strict=True):
        if group.label == "":
            change[:, own] += 1.0
            if group.kind == "exclusive":
                change[:, group.term] += 2.0
    scores = _effects("weekday", groups, changes, own, others, 0)
    assert find(scores, metric="core_effect", label="") == pytest.approx(1)
    assert find(scores, metric="exclusive_effect", label="") == pytest.approx(2)
    assert find(scores, metric="exclusive_effect", label="random neurons") == 0
    assert find(scores, metric="exclusive_neurons", label="") == 3


@given(st.integers(1, 20), st.integers(0, 99))
def test_random_neurons_are_as_many_and_from_where_they_should_be(size, seed):
    rng = np.random.default_rng(seed)
    mask, among = np.arange(D) < size, np.arange(D) >= 15
    drawn = random_like(mask, among, rng)
    assert drawn.sum() == size
    assert not (drawn & ~among).any()


def test_another_site_is_refused(make_data, make_dictionary):
    with pytest.raises(UnweaveError, match="resid: groups of neurons need a dictionary of mlp_neurons"):
        evaluate(make_dictionary(16), make_data({}), Settings(), 0)
