from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from unweave.activations.store import StoredTokens
from unweave.config import validated
from unweave.errors import UnweaveError
from unweave.evaluations.sentence_traces import Settings, divisions, evaluate, run_length
from unweave.methods.linear import LinearDictionary

D, SENSE_COMPONENT = 6, 4
SENSES = {"financial": [0, 1], "river": [2, 3]}


@pytest.fixture
def bank(tiny_model_folder, sentences, make_corpus, make_data):
    """Four sentences; component SENSE_COMPONENT is +5 at the financial `bank` and -5 at the river's."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    ids = [tokenizer(sentence)["input_ids"] for sentence in sentences[:4]]
    flat = np.concatenate(ids)
    words = [word for sentence in sentences[:4] for word in sentence.split()]
    x = 0.3 * torch.randn(len(flat), D, generator=torch.Generator().manual_seed(0))
    docs = np.repeat(np.arange(4), [len(i) for i in ids])
    target = np.array([word == "bank" for word in words])
    x[torch.from_numpy(target & (docs < 2)), SENSE_COMPONENT] = 5
    x[torch.from_numpy(target & (docs >= 2)), SENSE_COMPONENT] = -5
    corpus = make_corpus(x, documents=4, texts=sentences[:4])
    corpus.tokens = StoredTokens(flat, docs, np.zeros_like(docs))
    return make_data({"bank": corpus}, tiny_model_folder), words


@pytest.fixture
def axes():
    return LinearDictionary.build(torch.zeros(D), torch.eye(D), torch.eye(D), row_norm=False)


def rows(scores, metric, label=None):
    return {s.x: s.value for s in scores if s.metric == metric and label in (None, s.label)}


def test_the_component_of_the_senses_separates_them_most(bank, axes, find):
    scores = evaluate(axes, bank[0], Settings(senses=SENSES, separating=2), 0)
    separation = rows(scores, "separation")
    assert max(separation, key=separation.get) == SENSE_COMPONENT
    assert len(separation) == 2
    largest = rows(scores, "largest_separation")
    assert largest[0] == separation[SENSE_COMPONENT]
    assert len(largest) == 3
    assert find(scores, metric="split_rank") == 1
    assert next(s for s in scores if s.metric == "split_rank").n == 3


def test_swapping_the_senses_swaps_the_sign_only(bank, axes):
    forward, backward = (
        evaluate(axes, bank[0], Settings(senses=senses), 0) for senses in (SENSES, dict(reversed(SENSES.items())))
    )
    swapped = rows(backward, "separation")
    assert {j: -value for j, value in rows(forward, "separation").items()} == pytest.approx(swapped)
    assert rows(forward, "largest_separation") == pytest.approx(rows(backward, "largest_separation"))


def test_every_token_has_its_text_document_and_strongest_components(bank, axes):
    data, words = bank
    scores = evaluate(axes, data, Settings(senses=SENSES, top=3), 0)
    texts = {s.x: (s.label, s.value) for s in scores if s.metric == "document"}
    docs = data.corpora["bank"].tokens.docs.tolist()
    assert texts == {i: (word, doc) for i, (word, doc) in enumerate(zip(words, docs, strict=True))}
    codes = data.corpora["bank"].activations.x.numpy()
    for rank in (1, 2, 3):
        components, values = rows(scores, "top_component", str(rank)), rows(scores, "top_code", str(rank))
        for row, code in enumerate(codes):
            strongest = np.argsort(-np.abs(code))[rank - 1]
            assert components[row] == strongest
            assert values[row] == pytest.approx(code[strongest])


def test_targets_are_marked_with_their_sense(bank, axes):
    data, words = bank
    scores = evaluate(axes, data, Settings(senses=SENSES), 0)
    senses = {s.x: s.label for s in scores if s.metric == "target"}
    at = [i for i, word in enumerate(words) if word == "bank"]
    assert senses == dict(zip(at, ["financial", "financial", "river", "river"], strict=True))


def test_traces_run_over_all_tokens_and_hold_the_codes(bank, axes):
    data, words = bank
    scores = evaluate(axes, data, Settings(senses=SENSES, separating=1), 0)
    trace = rows(scores, "code", str(SENSE_COMPONENT))
    assert list(trace) == list(range(len(words)))
    np.testing.assert_allclose(list(trace.values()), data.corpora["bank"].activations.x[:, SENSE_COMPONENT], rtol=1e-5)
    strongest = set(rows(scores, "top_component", "1").values())
    assert {float(s.label) for s in scores if s.metric == "code"} == strongest | {SENSE_COMPONENT}


def test_a_sentence_without_the_target_word_is_refused(bank, axes):
    with pytest.raises(UnweaveError, match=r"^bank: document 0 \(sense 'financial'\) has no token 'boat'"):
        evaluate(axes, bank[0], Settings(senses=SENSES, target_word="boat"), 0)


def test_more_divisions_than_can_be_listed_are_refused(bank, axes):
    with pytest.raises(UnweaveError, match="too many to list every division"):
        evaluate(axes, bank[0], Settings(senses={"financial": [0, 1] * 6, "river": [2, 3] * 6}), 0)


@pytest.mark.parametrize("senses", [{}, {"one": [0]}, {"a": [0], "b": []}, {"a": [0], "b": [1], "c": [2]}])
def test_there_are_two_senses_with_sentences_each(senses):
    with pytest.raises(UnweaveError, match="senses"):
        validated(Settings, {"senses": senses}, "settings of sentence_traces")


@given(st.integers(1, 5), st.integers(1, 5))
def test_divisions_are_all_different_and_the_true_one_leads(first, second):
    masks = [tuple(mask.tolist()) for mask in divisions(first + second, first)]
    assert masks[0] == (True,) * first + (False,) * second
    assert len(set(masks)) == len(masks) == comb(first + second, first) // (2 if first == second else 1)


@pytest.mark.parametrize(
    ("trace", "length"),
    [([0, 0, 4, 0], 1), ([0, 2, -4, 3, 1], 3), ([5, 5, 5], 3), ([4, 1, 2, 2], 1), ([2, 2, 1, 4], 1), ([3, 4], 2)],
)
def test_a_run_is_what_stays_at_half_of_the_largest_code_around_it(trace, length):
    assert run_length(np.array(trace, dtype=float)) == length


@given(st.lists(st.integers(-100, 100), min_size=1, max_size=20), st.integers(1, 1000))
def test_a_run_knows_neither_sign_nor_scale_and_is_no_longer_than_the_sentence(trace, scale):
    codes = np.array(trace, dtype=float)
    length = run_length(codes)
    assert 1 <= length <= len(trace)
    assert run_length(-codes * scale) == length


def test_a_smooth_trace_runs_on_and_its_shuffled_tokens_do_not(tiny_model_folder, make_corpus, make_data, axes, find):
    sentence = "he asked the bank for a loan and the bank said that it had no money left to give him"
    length = len(AutoTokenizer.from_pretrained(tiny_model_folder)(sentence)["input_ids"])
    x = torch.full((2 * length, D), 0.01)
    x[length // 2 : length // 2 + 5, 0] = 3.0
    x[length + 3, 1] = 2.0
    ids = AutoTokenizer.from_pretrained(tiny_model_folder)(sentence)["input_ids"]
    corpus = make_corpus(x, documents=2, texts=[sentence] * 2)
    docs = np.repeat([0, 1], length)
    corpus.tokens = StoredTokens(np.array(ids * 2), docs, np.zeros_like(docs))
    scores = evaluate(
        axes, make_data({"bank": corpus}, tiny_model_folder), Settings(senses={"one": [0], "other": [1]}), 0
    )
    smooth = find(scores, metric="run_length", label="")
    assert smooth > find(scores, metric="run_length", label="shuffled tokens")
