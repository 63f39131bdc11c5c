"""ComSem as a whole, on a tiny model with planted features."""

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.comsem import RANDOM, RELEASED, SHIFTED, Settings, evaluate
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary

DOCUMENTS, NOISE = 80, 12
WORDS = {"the": 0, "bank": 1, "money": 2}


@pytest.fixture(scope="session")
def planted(tiny_model_folder, sentences, make_corpus):
    """Documents of three sentences each; coordinates fire on WORDS, after "small", and at random."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(sentences)[:3]) for _ in range(DOCUMENTS)]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    flat = np.concatenate(ids)
    words = np.array(tokenizer.convert_ids_to_tokens(flat.tolist()))
    columns = [words == word for word in WORDS] + [np.roll(words, 1) == "small"]
    columns += [rng.random(len(flat)) < 0.1 for _ in range(NOISE)]
    x = torch.tensor(np.stack(columns, axis=1)).float()
    corpus = make_corpus(x, texts=texts)
    docs = np.repeat(np.arange(DOCUMENTS), [len(part) for part in ids])
    corpus.tokens = StoredTokens(flat, docs, np.concatenate([np.arange(len(part)) for part in ids]))
    return corpus


def axes(d, order=None, sign=1, **traits):
    basis = sign * torch.eye(d)[slice(None) if order is None else order]
    tensors = {"center": torch.zeros(d), "readers": basis, "atoms": basis}
    return LinearDictionary(tensors, Traits(**{"signed": False, "linear": True, **traits}))


@pytest.fixture(scope="session")
def run(planted, make_data, tiny_model_folder):
    def scores(dictionary=None, corpus=planted, seed=0, **settings):
        dictionary = dictionary or axes(planted.activations.d)
        data = make_data({"c": corpus}, tiny_model_folder)
        return evaluate(dictionary, data, Settings(**{"clusters": 8, "coherent": 2, **settings}), seed)

    return scores


def test_planted_features_are_interpretable_and_controls_are_not(run, find):
    scores = run()
    assert find(scores, metric="interpretable_features", label="") == 4
    assert find(scores, metric="activated", label="") == 4 + NOISE
    assert find(scores, metric="comsem_corrected", label="") > 0.2
    for control in (SHIFTED, RANDOM):
        assert find(scores, metric="interpretable_features", label=control) == 0
        assert abs(find(scores, metric="comsem_corrected", label=control)) < 0.1
    explained = {int(s.x): (s.label, s.value) for s in scores if s.metric == "explanation"}
    assert explained[WORDS["bank"]] == ("token: bank", 1)
    assert explained[3] == ("previous: small", 1)
    assert sum(s.value for s in scores if s.metric == "explanation_kind") == pytest.approx(1)


def test_every_arm_has_every_measure(run):
    scores = run()
    measures = {s.metric for s in scores if s.label == ""}
    assert {"comsem", "enriched", "coherence", "coherence_distinct_above_null"} <= measures
    assert {s.metric for s in scores if s.label == SHIFTED} == measures
    assert {s.metric for s in scores if s.label == RELEASED} >= {"comsem", "interpretable_features"}


def test_reaching_a_threshold_gets_rarer(run):
    curve = [s.value for s in run() if s.metric == "comsem_reached" and s.label == ""]
    assert len(curve) == 8
    assert curve == sorted(curve, reverse=True)


@pytest.mark.parametrize("traits", [{"binary": True}, {"signed": True}, {"firing": "dense"}])
def test_any_kind_of_dictionary_can_be_read(run, planted, traits, find):
    scores = run(axes(planted.activations.d, **traits))
    assert find(scores, metric="interpretable_features", label="") == 4


def test_a_group_is_interpreted_as_one_feature(run, planted, make_corpus, find):
    twice = make_corpus(planted.activations.x.repeat_interleave(2, dim=1), texts=planted.texts)
    twice.tokens = planted.tokens
    scores = run(axes(2 * planted.activations.d, group_size=2, signed=True), twice)
    assert find(scores, metric="activated", label="") == planted.activations.d
    assert find(scores, metric="interpretable_features", label="") == 4


def test_a_signed_dictionary_of_flipped_signs_has_the_same_interpretable_features(run, planted, find):
    d = planted.activations.d
    counts = [find(run(axes(d, sign=s, signed=True)), metric="interpretable_features", label="") for s in (1, -1)]
    assert counts == [4, 4]


def test_a_bit_that_is_mostly_on_is_interpreted_where_it_is_off(run, planted, make_corpus, find):
    flipped = make_corpus(1 - planted.activations.x, texts=planted.texts)
    flipped.tokens = planted.tokens
    scores = run(axes(planted.activations.d, binary=True), flipped, top=planted.activations.d)
    assert find(scores, metric="interpretable_features", label="") == 4


def test_the_same_seed_gives_the_same_scores(run):
    assert run() == run()


def test_a_dead_dictionary_has_counts_only(run, planted, make_corpus, find):
    dead = make_corpus(torch.zeros_like(planted.activations.x), texts=planted.texts)
    dead.tokens = planted.tokens
    scores = run(corpus=dead)
    assert find(scores, metric="activated", label="") == 0
    assert not any(s.metric == "comsem" and s.label == "" for s in scores)


def test_texts_that_were_tokenised_otherwise_are_refused(run, planted, make_corpus):
    other = make_corpus(planted.activations.x, texts=planted.texts[::-1])
    other.tokens = planted.tokens
    with pytest.raises(UnweaveError, match=r"^c: document 0 is not tokenised as it was harvested"):
        run(corpus=other)
