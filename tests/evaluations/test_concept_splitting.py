import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations import concept_splitting
from unweave.evaluations.concept_splitting import CHANCE, UNITS, WHOLE, WORDS, Settings, evaluate
from unweave.evaluations.concept_splitting.detection import splitting
from unweave.evaluations.concept_splitting.lexicon import CONCEPTS, find_words, random_words
from unweave.evaluations.concept_splitting.values import balanced_accuracy, columns_of
from unweave.methods.linear import LinearDictionary
from unweave.methods.sasa.dictionary import SubspaceDictionary

QUICK = Settings(columns=[3, 6], control_draws=3)
WEEKDAYS, COLOURS = CONCEPTS["weekday"][:3], CONCEPTS["colour"][:3]
FILLERS = tuple(f"word{i}" for i in range(30))
WORDS_OF_TEXT = (*WEEKDAYS, *COLOURS, *FILLERS)
D = 12


class FakeTokenizer:
    def decode(self, ids):
        return " " + WORDS_OF_TEXT[ids[0]]


@pytest.fixture(autouse=True)
def tokenizer(monkeypatch):
    monkeypatch.setattr(concept_splitting, "load_tokenizer", lambda _: FakeTokenizer())


@pytest.fixture
def corpus(make_corpus):
    """Weekdays in coordinates 0 to 2, colours in 3 to 5, one word each; all other words in the rest."""
    rng = np.random.default_rng(0)
    ids = rng.permutation(np.repeat(np.arange(len(WORDS_OF_TEXT)), 30))
    x = np.zeros((len(ids), D), dtype=np.float32)
    known = ids < 6
    x[np.flatnonzero(known), ids[known]] = 3
    x[np.flatnonzero(~known), 6 + ids[~known] % 6] = 3
    planted = make_corpus(torch.from_numpy(x + 0.05 * rng.standard_normal(x.shape).astype(np.float32)))
    planted.tokens = StoredTokens(ids, planted.tokens.docs, planted.tokens.positions)
    return planted


def of_groups(size, active=1):
    """One group has the weekdays and one the colours if `size` is 3."""
    tensors = {"encoder": torch.eye(D), "decoder": torch.eye(D)}
    tensors |= {"encoder_bias": torch.zeros(D), "decoder_bias": torch.zeros(D)}
    return SubspaceDictionary.build(tensors, group_size=size, active_groups=active, layer_norm=False)


def test_a_group_for_a_concept_is_one_unit_and_tells_its_words_apart(corpus, make_data, find):
    scores = evaluate(of_groups(3), make_data({"c": corpus}), QUICK, 0)
    for concept in ("weekday", "colour"):
        assert find(scores, metric="feature_units", label=concept) == 1
        assert find(scores, metric="specific_units", label=concept) == 1
        assert find(scores, metric="specific_columns", label=concept) == 3
        assert find(scores, metric="best_f1", label=concept) == pytest.approx(1)
    assert find(scores, metric="value_accuracy", label="", x=3) == 1
    assert find(scores, metric="value_accuracy", label=WHOLE) == 1
    assert find(scores, metric="value_accuracy", label=CHANCE) == pytest.approx(1 / 3)


def test_one_code_for_each_word_splits_the_concept(corpus, make_data, find):
    scores = evaluate(of_groups(1), make_data({"c": corpus}), QUICK, 0)
    assert find(scores, metric="specific_units", label="weekday") == 3
    assert find(scores, metric="specific_columns", label="weekday") == 3
    assert find(scores, metric="feature_units", label="weekday") == 0
    assert find(scores, metric="best_f1", label="weekday") == pytest.approx(0.5)
    assert find(scores, metric="value_accuracy", label="", x=3) == 1


def test_random_words_have_no_unit_that_tells_them(corpus, make_data, find):
    scores = evaluate(of_groups(3), make_data({"c": corpus}), QUICK, 0)
    assert find(scores, metric="feature_units", label=WORDS) < find(scores, metric="feature_units", label="")
    assert find(scores, metric="best_f1", label=WORDS) < 0.7


def test_a_random_basis_tells_no_more_than_random_units_do(corpus, make_data, find):
    basis = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(1)))[0]
    dictionary = LinearDictionary.build(torch.zeros(D), basis, basis)
    scores = evaluate(dictionary, make_data({"c": corpus}), Settings(columns=[6], control_draws=3, dense_k=2), 0)
    ours, random = (find(scores, metric="value_accuracy", label=label, x=6) for label in ("", UNITS))
    assert ours == pytest.approx(random, abs=0.3)


def test_text_without_concepts_is_refused_with_the_corpus(make_corpus, make_data):
    with pytest.raises(UnweaveError, match=r"^c: holds the words of 0 concepts, two are needed"):
        evaluate(of_groups(3), make_data({"c": make_corpus(torch.randn(50, D))}), QUICK, 0)


def test_words_are_found_as_they_are_written_and_rare_ones_left_out():
    strings = np.array(["May"] * 12 + ["may"] * 9 + ["June"] * 9 + ["July"] * 2 + ["April"])
    found = find_words(strings, CONCEPTS["month"])
    assert found.rows.tolist() == [*range(12), *range(21, 32)]
    assert len(set(found.values.tolist())) == 3
    assert find_words(strings[:-2], CONCEPTS["month"]) is None
    assert find_words(strings[8:], CONCEPTS["month"]) is None


def test_random_words_are_as_many_and_as_frequent_and_none_of_the_concept():
    rng = np.random.default_rng(0)
    strings = np.array([f"w{i}" for i in range(60) for _ in range(10 + i % 3)] + list(WEEKDAYS) * 10)
    found = find_words(strings, WEEKDAYS)
    rows = random_words(strings, found, rng)
    drawn = strings[rows]
    assert len(set(drawn)) == 3
    assert not set(drawn) & set(WEEKDAYS)
    assert len(rows) == pytest.approx(len(found.rows), abs=6)


def test_units_count_by_their_recall_precision_and_hits():
    hits = np.array([[60.0, 40, 10, 3, 0]])
    fired, present = np.array([200.0, 50, 10, 3, 0]), np.array([100.0])
    found = splitting(hits, fired, present)
    assert found["feature_units"].tolist() == [1]
    assert found["specific_units"].tolist() == [2]
    assert found["best_f1"].tolist() == [pytest.approx(80 / 150)]


def test_a_budget_buys_whole_units_and_one_at_least():
    units = np.array([5, 0, 2])
    assert columns_of(units, 1, 2).tolist() == [5, 0]
    assert columns_of(units, 4, 8).tolist() == [20, 21, 22, 23, 0, 1, 2, 3]
    assert columns_of(units, 4, 3).tolist() == [20, 21, 22, 23]


@given(st.integers(0, 50))
def test_values_are_told_at_chance_from_noise_and_perfectly_from_themselves(seed):
    rng = np.random.default_rng(seed)
    values = np.repeat(np.arange(4), 25)
    assert balanced_accuracy(np.eye(4)[values], values, seed) == 1
    assert balanced_accuracy(rng.standard_normal((100, 3)), values, seed) == pytest.approx(0.25, abs=0.2)
