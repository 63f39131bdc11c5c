import numpy as np
import pytest
import torch

from unweave.explorer.features import (
    AFTER,
    BEFORE,
    contexts,
    contributions,
    evenly_spaced,
    excess_kurtosis,
    feature_activations,
    histogram,
    label_tokens,
    peaks,
    strongest_features,
)
from unweave.explorer.texts import Texts

LENGTH = 100


@pytest.fixture
def texts():
    """Two texts of a hundred tokens, named by their places; the first token of each has no activations."""
    places = np.concatenate([np.arange(1, LENGTH), np.arange(LENGTH + 1, 2 * LENGTH)])
    pieces = [f" {place}" for place in range(2 * LENGTH)]
    return Texts(pieces, np.array([0, LENGTH, 2 * LENGTH]), places, {"c": 0})


def column(texts, values):
    """Activations (n, 1) that are 0 but at the given places."""
    a = torch.zeros(len(texts.places), 1)
    for place, value in values.items():
        a[int(texts.rows[place])] = value
    return a


def test_contexts_are_the_strongest_tokens_with_the_codes_around_them(texts):
    ((positive, negative),) = contexts(column(texts, {50: 4.0, 51: 2.0, 150: 1.0, 160: -8.0}), texts, 8)
    assert [(one.text, one.first + one.peak, one.value) for one in positive] == [(0, 50, 4.0), (1, 50, 1.0)]
    assert [(one.text, one.first + one.peak, one.value) for one in negative] == [(1, 60, -8.0)]
    assert len(positive[0].codes) == BEFORE + 1 + AFTER
    assert positive[0].codes[positive[0].peak :][:3] == [50, 25, 0]
    assert positive[1].codes[positive[1].peak + 10] == -100


def test_a_window_ends_with_its_text_and_marks_tokens_without_activations(texts):
    ((positive, _),) = contexts(column(texts, {101: 1.0, 99: 0.5}), texts, 8)
    assert (positive[0].text, positive[0].first, positive[0].codes[:2]) == (1, 0, [None, 100])
    assert (positive[1].text, positive[1].first, len(positive[1].codes)) == (0, LENGTH - 1 - BEFORE, BEFORE + 1)


def test_windows_of_one_sign_do_not_overlap(texts):
    rows = [int(texts.rows[place]) for place in (50, 55, 50 + BEFORE + AFTER, 50 + BEFORE + AFTER + 1, 10)]
    assert peaks(rows, texts, 8) == [rows[0], rows[3], rows[4]]
    assert peaks(rows, texts, 2) == [rows[0], rows[3]]


def test_equal_activations_are_not_taken_from_the_first_text_alone(texts):
    ((positive, _),) = contexts(torch.ones(len(texts.places), 1), texts, 4)
    assert {one.text for one in positive} == {0, 1}


def test_a_feature_that_never_acts_has_no_contexts(texts):
    assert contexts(column(texts, {}), texts, 8) == [([], [])]


def test_labels_are_the_distinct_tokens_of_the_strongest_contexts(texts):
    texts.pieces[150] = " 50"
    (found,) = contexts(column(texts, {10: 1.0, 50: 5.0, 150: 3.0, 190: -4.0}), texts, 8)
    assert label_tokens(found, texts, 4) == ["50", "190", "10"]
    assert label_tokens(found, texts, 1) == ["50"]


def test_excess_kurtosis_of_signs_is_minus_2_and_of_a_constant_0():
    a = torch.tensor([[1.0, 7.0], [-1.0, 7.0]] * 50)
    assert excess_kurtosis(a).tolist() == pytest.approx([-2, 0])


def test_excess_kurtosis_does_not_cancel_beside_a_large_mean():
    a = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    assert float(excess_kurtosis(a + 1000)) == pytest.approx(float(excess_kurtosis(a)), abs=0.01)


def test_a_histogram_counts_what_is_not_zero():
    bars = histogram(np.array([0, 0, 3.0, 3.0, -1.0], dtype=np.float32))
    assert (bars.low, bars.high, sum(bars.counts)) == (-1, 3, 3)
    assert (bars.counts[0], bars.counts[-1]) == (1, 2)
    assert sum(histogram(np.zeros(4, dtype=np.float32)).counts) == 0


def test_a_bit_acts_where_it_has_its_rarer_value(planted):
    codes = torch.tensor([[1.0, 1.0]] + [[0.0, 1.0]] * 8 + [[0.0, 0.0]])
    a = feature_activations(planted["bits"], codes)
    assert a[:, 0].tolist() == pytest.approx([0.9] + [0] * 9)
    assert a[:, 1].tolist() == pytest.approx([0] * 9 + [-0.9])


def test_a_group_acts_by_its_norm_and_contributes_by_what_it_writes(planted):
    groups = planted["groups"]
    codes = torch.zeros(1, 16)
    codes[0, :2] = torch.tensor([3.0, -4.0])
    a = feature_activations(groups, codes)
    assert a.tolist() == [[5, 0, 0, 0]]
    groups.tensors["decoder"][0] *= 2
    assert contributions(groups, codes, a)[0, 0] == pytest.approx(52**0.5)
    groups.tensors["decoder"][0] /= 2


def test_features_of_a_token_come_by_contribution_and_in_parts_of_their_largest():
    a = torch.tensor([[2.0, -1.0, 0.0], [4.0, 0.0, 0.0]])
    sizes = torch.tensor([[1.0, 9.0, 99.0], [2.0, 5.0, 5.0]])
    assert strongest_features(sizes, a, 3) == [[1, -100, 0, 50], [0, 100]]
    assert strongest_features(sizes, a, 1) == [[1, -100], [0, 100]]


def test_a_limit_keeps_the_first_the_last_and_evenly_spaced_features_between():
    assert evenly_spaced(np.arange(9), 3).tolist() == [0, 4, 8]
    assert evenly_spaced(np.array([3, 5]), 10).tolist() == [3, 5]
