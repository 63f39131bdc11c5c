import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.receptive_field import CAP, Settings, cut, evaluate
from unweave.evaluations.receptive_field.fields import gradient_field, last_activations, ranks_of, suffix_field
from unweave.evaluations.receptive_field.occurrences import occurrence, strongest_rows
from unweave.methods.dictionary import Traits
from unweave.methods.snmf.dictionary import NonNegativeDictionary
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import load_language_model

CPU = torch.device("cpu")
POINT = HookPoint("resid", 1)


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load_language_model(tiny_model_folder, torch.float32, CPU)


@pytest.fixture
def read(model, sentences, make_corpus):
    """The tiny model's activations of its sentences as a corpus."""
    rows, ids, docs, positions = [], [], [], []
    for number, sentence in enumerate(sentences):
        tokens = torch.tensor([model.tokenizer(sentence)["input_ids"]])
        with capture(model.model, [POINT]) as found:
            model.model(input_ids=tokens, use_cache=False)
        rows.append(found[POINT][0])
        ids += tokens[0].tolist()
        docs += [number] * tokens.shape[1]
        positions += range(tokens.shape[1])
    corpus = make_corpus(torch.cat(rows), texts=sentences)
    corpus.tokens = StoredTokens(np.array(ids), np.array(docs), np.array(positions))
    return corpus


def test_every_feature_is_recovered_with_all_its_text(read, make_data, make_dictionary, tiny_model_folder, find):
    scores = evaluate(make_dictionary(16), make_data({"c": read}, tiny_model_folder), Settings(features=8), 0)
    for arm in ("bare", "kept first"):
        assert find(scores, metric="recovered_share", label=arm, x=15) == pytest.approx(1, abs=0.02)
        assert 1 <= find(scores, metric="suffix_field_capped", label=arm, x=15) <= CAP
    assert 1 <= find(scores, metric="gradient_field") <= 9


def test_texts_are_read_without_being_disturbed_by_their_padding(model):
    texts = [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([5, 6])]
    together = last_activations(model.model, POINT, texts)
    alone = torch.cat([last_activations(model.model, POINT, [text]) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_a_feature_of_the_token_alone_has_a_gradient_field_of_one(model):
    """Before any block, nothing but the token's own embedding has a gradient."""

    def first_block_input(x):
        return x

    field = gradient_field(model.model, HookPoint("resid", 0), first_block_input, torch.tensor([3]), 0)
    assert field == pytest.approx(1)


def test_a_feature_without_a_gradient_has_no_field(model):
    assert gradient_field(model.model, POINT, lambda x: 0 * x, torch.tensor([1, 2]), 0) is None


def test_codes_without_a_gradient_are_refused_by_name_of_the_setting(model):
    atoms = {"atoms": torch.rand(4, 16, generator=torch.Generator().manual_seed(0))}
    encode = NonNegativeDictionary(atoms, Traits(signed=False, linear=False)).encode
    with pytest.raises(UnweaveError, match="have no gradient: set `gradients` to 0"):
        gradient_field(model.model, POINT, encode, torch.tensor([3, 5, 7]), 0)


def test_the_first_length_that_recovers_is_the_field():
    assert suffix_field([9, 3, 1], [1, 2, 3], 3) == 2
    assert suffix_field([9, 9, 9], [1, 2, 3], 3) is None
    assert suffix_field([9, 9, 1], [9, 10, 40], 1) == pytest.approx(20)


@given(st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_what_is_left_ends_with_the_token_and_is_as_long_as_asked_for(n, length, keep_first):
    ids = torch.arange(n)
    left = cut(ids, length, keep_first=keep_first)
    assert left[-1] == n - 1
    kept = min(n, length)
    assert len(left) == kept + (keep_first and kept < n)
    assert not keep_first or left[0] == 0


def test_ranks_count_from_the_strongest_and_silent_features_come_last():
    strengths = torch.tensor([[3.0, 1.0, 2.0], [0.0, 0.0, 5.0]])
    assert ranks_of(strengths, torch.tensor([2, 0])).tolist() == [2, 4]


def test_occurrences_are_distinct_tokens_in_order_of_strength():
    strengths = torch.tensor([[1.0], [5.0], [4.0], [3.0], [-1.0]])
    (rows,) = strongest_rows(strengths, np.array([7, 8, 8, 9, 6]), 4)
    assert rows.tolist() == [1, 3, 0]


def test_a_long_text_keeps_its_first_token(model, make_corpus):
    text = " ".join(["boat"] + ["river"] * 20 + ["bank"])
    corpus = make_corpus(torch.zeros(22, 2), documents=1, texts=[text])
    ids = np.array(model.tokenizer(text)["input_ids"])
    corpus.tokens = StoredTokens(ids, np.zeros(22, dtype=np.int64), np.arange(22))
    kept = occurrence("c", corpus, model.tokenizer, 0, 21, 5).ids
    assert kept.tolist() == [ids[0], *ids[-4:]]
    assert cut(kept, 2, keep_first=True).tolist() == [ids[0], *ids[-2:]]


def test_a_corpus_in_which_nothing_fires_is_refused(read, make_data, make_dictionary, tiny_model_folder):
    read.activations.x[:] = 0
    with pytest.raises(UnweaveError, match="fewer than two features fire"):
        evaluate(make_dictionary(16), make_data({"c": read}, tiny_model_folder), Settings(features=8), 0)
