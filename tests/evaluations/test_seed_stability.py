from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.seed_stability import Settings, evaluate, matched, random_like, similarities

D = 12


def with_refit(data, make):
    return replace(data, refit=lambda _, __, seed_offset=0: make(seed_offset))


def test_a_fit_that_finds_the_same_features_is_stable(make_corpus, make_data, make_dictionary, find):
    data = with_refit(make_data({"c": make_corpus(torch.randn(50, D))}), lambda _: make_dictionary(D))
    scores = evaluate(make_dictionary(D), data, Settings(refits=2), 0)
    assert find(scores, metric="matched_similarity", label="") == pytest.approx(1, abs=1e-6)
    assert find(scores, metric="found_again_0.9", label="") == 1


def test_random_features_are_as_stable_as_the_null(make_corpus, make_data, make_dictionary):
    d = 64
    data = with_refit(make_data({"c": make_corpus(torch.randn(50, d))}), lambda offset: make_dictionary(d, offset))
    scores = evaluate(make_dictionary(d), data, Settings(), 0)
    found, null = (s for s in scores if s.metric == "matched_similarity" and s.label != "readers")
    assert found.value == pytest.approx(null.value, abs=0.05)
    assert found.ci_low < null.ci_high


def test_without_a_record_of_the_fit_it_is_refused(make_corpus, make_data, make_dictionary):
    with pytest.raises(UnweaveError, match="not recorded"):
        evaluate(make_dictionary(D), make_data({"c": make_corpus(torch.randn(50, D))}), Settings(), 0)


@given(st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_order_signs_and_bases_of_subspaces_do_not_matter(seed, size):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(8, D, generator=generator)
    groups = atoms.reshape(-1, size, D)
    turned = torch.linalg.qr(torch.randn(len(groups), size, size, generator=generator))[0] @ groups
    shuffled = turned[torch.randperm(len(groups), generator=generator)].reshape(-1, D)
    np.testing.assert_allclose(matched(similarities(atoms, shuffled, size)), 1, atol=1e-5)


def test_one_code_per_feature_compares_by_absolute_cosine():
    one, other = random_like(torch.empty(5, D), 0), random_like(torch.empty(7, D), 1)
    cosines = torch.nn.functional.cosine_similarity(one[:, None], other[None], dim=2).abs()
    torch.testing.assert_close(similarities(one, other), cosines.double(), atol=1e-6, rtol=1e-6)


def test_features_without_a_partner_and_atoms_of_zeros_are_not_found_again():
    atoms = torch.eye(3)
    assert matched(similarities(atoms, atoms[:2])).tolist() == pytest.approx([1, 1, 0])
    assert similarities(torch.zeros(1, 3), atoms).tolist() == [[0, 0, 0]]


def test_the_null_is_not_what_a_method_began_with():
    began = torch.randn(40, D, generator=torch.Generator().manual_seed(0))
    assert matched(similarities(began, random_like(began, 0))).mean() < 0.9


def test_reading_directions_are_matched_where_there_are_any(make_corpus, make_data, make_dictionary, find):
    data = with_refit(make_data({"c": make_corpus(torch.randn(50, D))}), lambda _: make_dictionary(D))
    scores = evaluate(make_dictionary(D), data, Settings(), 0)
    assert find(scores, metric="found_again_0.7", label="readers") == 1
