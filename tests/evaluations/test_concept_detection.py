import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.concept_detection import (
    HeldOut,
    Settings,
    concept,
    detection,
    evaluate,
    largest_coordinate,
    random_sparse,
    window_maxima,
    windows_of,
)
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

D = 24


@pytest.fixture
def two_corpora(make_corpus):
    """Tokens i write on coordinate i, in documents of twelve; the vocabulary is that of the tiny model."""

    def make(strength=4.0, n=1800):
        corpora = {}
        for seed, name in enumerate(("named", "held out")):
            generator = torch.Generator().manual_seed(seed)
            ids = torch.randint(0, 21, (n,), generator=generator).numpy()
            x = torch.randn(n, D, generator=generator)
            x[np.arange(n), ids] += strength
            corpus = make_corpus(x, documents=n // 12)
            corpus.tokens = StoredTokens(ids, corpus.tokens.docs, corpus.tokens.positions)
            corpora[name] = corpus
        return corpora

    return make


def axes(*, signed=True):
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D), "atoms": torch.eye(D)}
    return LinearDictionary(tensors, Traits(signed=signed, linear=True))


def test_planted_concepts_are_detected_and_shuffled_ones_are_not(two_corpora, make_data, tiny_model_folder, find):
    data = make_data(two_corpora(), tiny_model_folder)
    scores = evaluate(axes(signed=False), data, Settings(features=24, window=3), 0)
    assert find(scores, metric="auroc", label="") > 0.8
    assert find(scores, metric="s_cd", label="") > find(scores, metric="s_cd", label="shuffled concepts") + 0.1
    assert find(scores, metric="auroc", label="shuffled concepts") == pytest.approx(0.5, abs=0.06)


def test_random_directions_have_concepts_of_little_use(two_corpora, make_data, tiny_model_folder, find):
    data = make_data(two_corpora(), tiny_model_folder)
    scores = evaluate(axes(signed=False), data, Settings(features=24, window=3), 0)
    assert find(scores, metric="s_cd", label="random sparse directions") < find(scores, metric="s_cd", label="") - 0.1


def test_the_scale_of_atoms_does_not_matter(two_corpora, make_data, tiny_model_folder):
    data = make_data(two_corpora(), tiny_model_folder)
    longer = axes()
    longer.tensors["atoms"] = 7 * longer.tensors["atoms"]
    one, other = (evaluate(d, data, Settings(window=3), 0) for d in (axes(), longer))
    assert [s.value for s in one if s.label == ""] == pytest.approx([s.value for s in other if s.label == ""])


def test_one_corpus_and_three_are_refused(two_corpora, make_data, tiny_model_folder):
    corpora = two_corpora()
    for wrong in ({"c": corpora["named"]}, {**corpora, "third": corpora["named"]}):
        with pytest.raises(UnweaveError, match="needs two corpora"):
            evaluate(axes(), make_data(wrong, tiny_model_folder), Settings(), 0)


def test_a_concept_is_the_strings_that_carry_most_of_the_strength():
    strengths = np.array([5.0, 4.0, 0.5, 0.1, 0.0])
    strings = np.array(["river", "river", "boat", "loan", "bank"])
    assert concept(strengths, strings) == ["river"]
    assert concept(np.zeros(5), strings) == []


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(2, 4))
def test_windows_stay_within_documents_and_hold_at_most_their_size(lengths, size):
    docs = np.repeat(np.arange(len(lengths)), lengths)
    windows = windows_of(docs, size)
    assert windows[0] == 0
    assert set(np.diff(windows).tolist()) <= {0, 1}
    for window in np.unique(windows):
        assert len(set(docs[windows == window].tolist())) == 1
        assert (windows == window).sum() <= size
    assert windows.max() + 1 == sum(-(-length // size) for length in lengths)


def test_a_window_scores_its_largest_cosine():
    cosines = torch.tensor([[0.1], [0.9], [-0.5], [-0.2]])
    assert window_maxima(cosines, np.array([0, 0, 1, 1]))[:, 0] == pytest.approx([0.9, -0.2])


def test_equal_scores_detect_nothing_and_negative_ones_are_clipped():
    same = detection(np.full(6, 0.3), np.full(6, 0.3))
    assert (same.s_cd, same.auroc, same.delta, same.clipped) == (0, 0.5, 0, False)
    assert detection(np.full(6, 0.5), np.full(6, -0.3)).clipped


def test_a_concept_names_strings_until_four_fifths_of_the_strength_are_covered():
    strings = np.array(["a", "b", "c", "d"])
    assert concept(np.array([5.0, 3.0, 1.0, 1.0]), strings) == ["a", "b"]
    assert concept(np.array([5.0, 2.9, 1.1, 1.0]), strings) == ["a", "b", "c"]
    assert concept(np.array([1.0, 1.0, 2.0, 0.0]), np.array(["b", "a", "c", "d"])) == ["c", "a", "b"]


def test_a_concept_is_made_of_the_25_strongest_tokens_and_has_ten_strings_at_most():
    strings = np.array([f"{i:02d}" for i in range(40)])
    assert concept(np.linspace(2, 1, 40), strings) == [f"{i:02d}" for i in range(10)]
    often = np.array([*["often"] * 20, *"bcdef", "left out"])
    assert concept(np.array([*[1.0] * 25, 0.99]), often) == ["often"]
    last = np.array([*["a"] * 19, *["b"] * 6])
    assert concept(np.array([*[1.0158] * 19, *[0.94] * 6]), last) == ["a", "b"]


def test_tokens_on_which_a_feature_is_below_zero_take_nothing_from_its_concept():
    assert concept(np.array([5.0, 1.3, -0.5]), np.array(["a", "b", "c"])) == ["a", "b"]


def test_detection_compares_means_and_pairs():
    found = detection(np.array([0.4, 0.6]), np.array([0.2, 0.5]))
    assert found.s_cd == pytest.approx(np.log(0.5 / 0.35))
    assert (found.auroc, found.delta, found.clipped) == (0.75, pytest.approx(0.15), False)
    assert detection(np.array([0.5, 0.3]), np.array([0.3, 0.1])).auroc == 0.875
    clipped = detection(np.full(6, 0.5), np.full(6, -0.3))
    assert (clipped.s_cd, clipped.delta) == (pytest.approx(np.log(500)), pytest.approx(0.8))
    assert not detection(np.full(6, 0.5), np.full(6, 1e-3)).clipped


def test_the_largest_coordinate_keeps_its_place_and_sign():
    atoms = torch.tensor([[1.0, -3.0, 2.0], [0.5, 0.0, 0.1]])
    assert torch.equal(largest_coordinate(atoms), torch.tensor([[0.0, -3.0, 0.0], [0.5, 0.0, 0.0]]))


@pytest.mark.parametrize(("d", "kept"), [(20, 1), (200, 2), (576, 6)])
def test_random_sparse_directions_have_a_hundredth_of_the_coordinates_at_different_places(d, kept):
    directions = random_sparse(30, d, np.random.default_rng(0))
    assert (directions != 0).sum(dim=1).tolist() == [kept] * 30
    assert (directions != 0).any(dim=0).sum() > 10


@pytest.mark.parametrize(("holding", "without", "scored"), [(5, 5, True), (4, 9, False), (9, 4, False), (5, 40, True)])
def test_a_feature_is_scored_from_five_windows_of_each_kind(holding, without, scored):
    windows = np.arange(2 * (holding + without)) // 2
    strings = np.where(windows < holding, "word", "other")
    x = torch.nn.functional.one_hot(torch.from_numpy((windows < holding).astype(np.int64)), 2).float()
    (found,) = HeldOut(x, strings, windows).score(torch.tensor([[0.0, 5.0]]), [["word"]], np.random.default_rng(0))
    assert (found is not None) is scored
    if scored:
        assert (found.auroc, found.delta) == (1, 1)


def test_a_feature_that_cannot_be_scored_does_not_end_the_scoring():
    windows, x = np.arange(40) // 2, torch.eye(2).repeat(20, 1)
    strings = np.where(windows < 8, "word", "other")
    found = HeldOut(x, strings, windows).score(torch.eye(2), [["nowhere"], ["word"]], np.random.default_rng(0))
    assert [one is None for one in found] == [True, False]


def test_features_count_whatever_the_scale_of_their_codes_and_if_they_fire_on_every_token(
    two_corpora, make_data, tiny_model_folder, find
):
    data = make_data(two_corpora(), tiny_model_folder)
    small, always = axes(signed=False), axes(signed=False)
    small.tensors["readers"] = 1e-3 * small.tensors["readers"]
    always.tensors["center"] = torch.full((D,), -10.0)
    values = [
        {s.metric: s.value for s in evaluate(dictionary, data, Settings(features=24, window=3), 0) if s.label == ""}
        for dictionary in (axes(signed=False), small, always)
    ]
    assert values[1] == pytest.approx(values[0])
    assert values[2]["auroc"] > 0.8
    assert values[0]["positive_s_cd"] > 0.9


def test_two_features_are_enough(two_corpora, make_data, tiny_model_folder):
    data = make_data(two_corpora(), tiny_model_folder)
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D)[:2], "atoms": torch.eye(D)[:2]}
    scores = evaluate(LinearDictionary(tensors, Traits(signed=False, linear=True)), data, Settings(window=3), 0)
    assert {s.n for s in scores if s.label == ""} == {2}


def test_a_control_that_cannot_be_scored_is_left_out_and_no_other_with_it(two_corpora, make_data, tiny_model_folder):
    """In windows of whole documents the many strings of a random direction leave no window without one of them."""
    data = make_data(two_corpora(), tiny_model_folder)
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D)[:2], "atoms": torch.eye(D)[:2]}
    scores = evaluate(LinearDictionary(tensors, Traits(signed=False, linear=True)), data, Settings(window=12), 0)
    assert {s.label for s in scores} == {"", "shuffled concepts", "largest coordinate"}


def test_a_single_feature_is_too_few(two_corpora, make_data, tiny_model_folder):
    data = make_data(two_corpora(), tiny_model_folder)
    tensors = {"center": torch.zeros(D), "readers": torch.eye(D)[:1], "atoms": torch.eye(D)[:1]}
    one = LinearDictionary(tensors, Traits(signed=False, linear=True))
    with pytest.raises(UnweaveError, match="held out: concepts of fewer than two features"):
        evaluate(one, data, Settings(window=3), 0)


def test_concepts_on_the_negative_side_are_detected_along_the_negative_direction(
    two_corpora, make_data, tiny_model_folder, find
):
    data = make_data(two_corpora(strength=-4.0), tiny_model_folder)
    scores = evaluate(axes(), data, Settings(features=48, window=3), 0)
    assert find(scores, metric="auroc", label="") > 0.6
    assert {s.metric for s in scores if not s.higher_is_better} == {"clipped"}
    assert 0.2 < find(scores, metric="positive_s_cd", label="shuffled concepts") < 0.8
