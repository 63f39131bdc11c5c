"""Simulate-and-correlate, with activations that predicates explain wholly, partly and not at all."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import orthogonal_mp_gram
from transformers import AutoTokenizer

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.simulation import (
    ALL,
    SHUFFLED,
    Moments,
    Settings,
    correlations,
    evaluate,
    explanations,
    matching_pursuit,
    one_sided,
)
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

DOCUMENTS = 80


@pytest.fixture(scope="session")
def make_text_corpus(tiny_model_folder, sentences, make_corpus):
    """Documents of three sentences, and activations (n, d) made of the word of each token."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)

    def make(columns):
        rng = np.random.default_rng(0)
        texts = [" ".join(rng.permutation(sentences)[:3]) for _ in range(DOCUMENTS)]
        ids = [tokenizer(text)["input_ids"] for text in texts]
        flat = np.concatenate(ids)
        words = np.array(tokenizer.convert_ids_to_tokens(flat.tolist()))
        corpus = make_corpus(torch.tensor(np.stack(columns(words, rng), axis=1)).float(), texts=texts)
        docs = np.repeat(np.arange(DOCUMENTS), [len(part) for part in ids])
        corpus.tokens = StoredTokens(flat, docs, np.concatenate([np.arange(len(part)) for part in ids]))
        return corpus

    return make


def axes(d, **traits):
    tensors = {"center": torch.zeros(d), "readers": torch.eye(d), "atoms": torch.eye(d)}
    return LinearDictionary(tensors, Traits(**{"signed": False, "linear": True, **traits}))


@pytest.fixture(scope="session")
def run(make_text_corpus, make_data, tiny_model_folder):
    def scores(columns, seed=0, predicates=(1, 2), **traits):
        corpus = make_text_corpus(columns)
        data = make_data({"c": corpus}, tiny_model_folder)
        settings = Settings(predicates=list(predicates), clusters=8)
        return evaluate(axes(corpus.activations.d, **traits), data, settings, seed)

    return scores


def one_word_each(words, rng):
    return [1.5 * (words == word) for word in ("bank", "money", "river", "boat")]


def two_words_each(words, rng):
    return [1.0 * (words == a) + 3.0 * (words == b) for a, b in (("bank", "money"), ("river", "boat"))]


def noise(words, rng):
    return [rng.random(len(words)) for _ in range(40)]


def test_a_feature_of_one_word_is_simulated_by_one_predicate(run, find):
    scores = run(one_word_each)
    assert find(scores, metric="simulation", label="", x=1) == pytest.approx(1, abs=1e-6)
    assert find(scores, metric="simulation", label=ALL) > 0.95
    assert find(scores, metric="simulation", label=SHUFFLED, x=1) < 0.05
    assert find(scores, metric="simulation_gain", label="", x=1) > 0.95
    assert find(scores, metric="simulated", label="") == 4


def test_two_words_need_two_predicates(run, find):
    scores = run(two_words_each)
    assert find(scores, metric="simulation", label="", x=2) == pytest.approx(1, abs=1e-6)
    assert 0.7 < find(scores, metric="simulation", label="", x=1) < 0.99


def test_noise_is_at_chance_whatever_explains_it(run, find):
    scores = run(noise, predicates=[1, 10])
    for fields in ({"label": "", "x": 1}, {"label": "", "x": 10}, {"label": SHUFFLED, "x": 10}, {"label": ALL}):
        assert find(scores, metric="simulation", **fields) == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("traits", [{"signed": True}, {"group_size": 2}, {"binary": True}, {"firing": "dense"}])
def test_any_kind_of_dictionary_can_be_simulated(run, traits):
    scores = run(lambda words, rng: [np.sign(column) for column in one_word_each(words, rng)], **traits)
    values = [s.value for s in scores if s.metric == "simulation" and s.label == ""]
    assert min(values) > 0.5


def test_bits_that_are_nearly_always_on_are_left_out(run, find):
    def columns(words, rng):
        nearly = np.ones(len(words))
        nearly[:3] = 0
        return [nearly, *(words == word for word in ("bank", "money"))]

    assert find(run(columns, binary=True), metric="simulated") == 2


def test_both_signs_of_a_code_are_features():
    codes = torch.tensor([[1.0, -2.0]])
    assert one_sided(axes(2, signed=True), codes).tolist() == [[1, 0, 0, 2]]
    assert one_sided(axes(2), codes.abs()).tolist() == [[1, 2]]
    assert one_sided(axes(2, group_size=2), torch.tensor([[3.0, -4.0]])).tolist() == [[5]]


@given(st.integers(0, 2**31), st.floats(0.1, 100), st.floats(-50, 50))
def test_correlations_are_pearsons_and_ignore_scale_and_offset(seed, scale, offset):
    rng = np.random.default_rng(seed)
    p = (rng.random((50, 4)) < 0.4).astype(float)
    a = rng.normal(size=(50, 3))
    weights = rng.normal(size=(4, 3))
    direct = [np.corrcoef(p @ weights[:, f], a[:, f])[0, 1] for f in range(3)]
    half = Moments.zero(4, 3)
    for rows in (slice(0, 20), slice(20, 50)):
        half.add(p[rows], scale * a[rows] + offset)
    assert correlations(half, weights) == pytest.approx(direct, abs=1e-7)


def test_a_constant_simulation_scores_zero():
    half = Moments.zero(2, 1)
    half.add(np.array([[0, 1.0], [0, 1.0], [0, 1.0]]), np.array([[1.0], [2.0], [4.0]]))
    assert correlations(half, np.ones((2, 1))) == 0


@given(st.integers(0, 2**31))
def test_matching_pursuit_agrees_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 8))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = rng.normal(size=(60, 5))
    gram, products = x.T @ x / 60, x.T @ y / 60
    for size, weights in enumerate(matching_pursuit(gram, products, 4), start=1):
        assert weights == pytest.approx(orthogonal_mp_gram(gram, products, n_nonzero_coefs=size), abs=1e-6)


def test_a_repeated_predicate_and_one_that_never_holds_do_no_harm():
    rng = np.random.default_rng(0)
    p = (rng.random((200, 3)) < 0.4).astype(float)
    p = np.hstack([p, p[:, :1], np.zeros((200, 1))])
    half = Moments.zero(5, 2)
    half.add(p, p[:, :2] * [2.0, 5.0])
    for arm in explanations(half, [1, 4]).values():
        for _, weights in arm:
            assert correlations(half, weights) == pytest.approx(1, abs=1e-3)


def test_the_same_seed_gives_the_same_scores(run):
    assert run(two_words_each) == run(two_words_each)


def test_dead_features_are_refused(run):
    with pytest.raises(UnweaveError, match=r"^c: 0 features are on often enough"):
        run(lambda words, _: [np.zeros(len(words))] * 3)
