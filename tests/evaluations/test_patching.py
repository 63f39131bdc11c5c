import dataclasses

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from unweave.activations.store import StoredTokens
from unweave.errors import UnweaveError
from unweave.evaluations.patching import Document, Settings, document_losses, evaluate, read_documents
from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.linear import LinearDictionary
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import load_language_model

D, LAYER = 16, 1
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load_language_model(tiny_model_folder, torch.float32, CPU)


@pytest.fixture
def corpus(model, sentences, make_corpus):
    """Every position but the first of every sentence, with the residual stream after LAYER."""
    rows, ids, docs, positions = [], [], [], []
    for document, sentence in enumerate(sentences):
        tokens = model.tokenizer(sentence)["input_ids"]
        hidden = model.model(torch.tensor([tokens]), output_hidden_states=True).hidden_states[LAYER + 1][0]
        rows.append(hidden[1:])
        ids += tokens[1:]
        docs += [document] * (len(tokens) - 1)
        positions += range(1, len(tokens))
    corpus = make_corpus(torch.cat(rows), documents=len(sentences), texts=list(sentences))
    corpus.tokens = StoredTokens(*map(np.array, (ids, docs, positions)))
    return corpus


@pytest.fixture
def data(corpus, tiny_model_folder, make_data):
    return make_data({"c": corpus}, tiny_model_folder)


class Constant(Dictionary):
    """Reconstructs everything as the same point."""

    form = "test.Constant"
    atoms = torch.eye(D)

    def encode(self, x):
        return torch.zeros(len(x), D)

    def decode(self, codes, like=None):  # noqa: ARG002
        return self.tensors["point"].expand(len(codes), D)


def test_a_perfect_reconstruction_recovers_all_and_diverges_nowhere(data, make_dictionary, find):
    scores = evaluate(make_dictionary(D), data, Settings(k=[]), 0)
    assert find(scores, metric="ce_recovered", x=D) == pytest.approx(1, abs=1e-4)
    assert find(scores, metric="kl", x=D) == pytest.approx(0, abs=1e-5)


def test_reconstructing_zeros_or_the_mean_equals_that_ablation(data, corpus, find):
    traits = Traits(signed=True, linear=False)
    for point, label in ((torch.zeros(D), "zero ablation"), (corpus.activations.x.mean(dim=0), "mean ablation")):
        scores = evaluate(Constant({"point": point}, traits), data, Settings(k=[]), 0)
        kl = find(scores, metric="kl", label=label)
        assert find(scores, metric="kl", x=D) == pytest.approx(kl, rel=1e-4)
        recovered = 0 if "zero" in label else find(scores, metric="ce_recovered", label=label)
        assert find(scores, metric="ce_recovered", x=D) == pytest.approx(recovered, abs=1e-5)


def test_clean_cross_entropy_is_the_models_own_loss_at_the_harvested_positions(
    data, model, sentences, make_dictionary, find
):
    scores = evaluate(make_dictionary(D), data, Settings(k=[]), 0)
    total, count = 0.0, 0
    for sentence in sentences:
        ids = torch.tensor([model.tokenizer(sentence)["input_ids"]])
        labels = ids.clone()
        labels[0, :2] = -100
        total += model.model(ids, labels=labels).loss.item() * (ids.shape[1] - 2)
        count += ids.shape[1] - 2
    assert find(scores, metric="cross_entropy", label="clean") == pytest.approx(total / count, rel=1e-5)
    assert {s.n for s in scores} == {count}


def test_patching_equals_a_forward_pass_with_a_hook_of_our_own(model, sentences):
    ids = torch.tensor(model.tokenizer(sentences[2])["input_ids"])
    positions = torch.tensor([2, 3, 5])
    readers = torch.randn(D, D, generator=torch.Generator().manual_seed(1))
    dictionary = LinearDictionary.build(torch.ones(D), readers, torch.linalg.inv(readers).T, row_norm=False)

    def replace(_module, _inputs, output):
        codes = (output[0, positions] - 1) @ readers.T
        size = codes.abs() * dictionary.atoms.norm(dim=1)
        kept = codes * (size >= size.topk(4, dim=1).values[:, -1:])
        output[0, positions] = kept @ dictionary.atoms + 1
        return output

    clean = model.model(ids[None]).logits[0].log_softmax(dim=-1)
    handle = model.model.model.layers[LAYER].register_forward_hook(replace)
    patched = model.model(ids[None]).logits[0].log_softmax(dim=-1)
    handle.remove()
    cross_entropy = -patched[positions, ids[positions + 1]].sum().item()
    divergence = (clean.exp() * (clean - patched))[positions].sum().item()
    losses = document_losses(model.model, LAYER, Document(ids, positions), dictionary, torch.zeros(D), [4])
    assert losses[4] == pytest.approx((cross_entropy, divergence), rel=1e-3)


def test_divergences_are_not_negative_and_values_lie_in_their_intervals(data, make_dictionary):
    scores = evaluate(make_dictionary(D, seed=3), data, Settings(k=[0, 1, 4, 12]), 0)
    assert all(s.value >= 0 and s.ci_low >= 0 for s in scores if s.metric == "kl")
    assert all(s.ci_low - 1e-9 <= s.value <= s.ci_high + 1e-9 for s in scores)
    assert [s.x for s in scores if s.metric == "ce_recovered" and s.x_name == "k"] == [0, 1, 4, 12, D]


def test_documents_are_taken_in_order_until_there_are_enough_tokens(corpus, model):
    documents = read_documents("c", corpus, model.tokenizer, tokens=6)
    assert len(documents) == 2
    assert [len(document.positions) for document in documents] == [5, 7]
    assert len(documents[0].ids) == 6


def test_a_document_cut_short_by_the_harvest_is_cut_here_too(corpus, model, sentences):
    tokens, early = corpus.tokens, corpus.tokens.positions <= 3
    corpus.tokens = StoredTokens(tokens.ids[early], tokens.docs[early], tokens.positions[early])
    documents = read_documents("c", corpus, model.tokenizer, tokens=1000)
    assert {len(document.ids) for document in documents} == {4}
    assert documents[0].scored.tolist() == [1, 2]


@pytest.mark.parametrize("change", [lambda c: c.texts.reverse(), lambda c: c.texts.__setitem__(0, "the bank")])
def test_other_texts_than_the_harvested_ones_are_refused(data, corpus, make_dictionary, change):
    change(corpus)
    with pytest.raises(UnweaveError, match=r"^c: document 0 is not tokenised as it was harvested"):
        evaluate(make_dictionary(D), data, Settings(), 0)


def elsewhere(model, sentences, corpus, data, site, targets=None):
    """The data of the same tokens at another site of the same block, with the activations of a second site."""
    rows = {name: [] for name in filter(None, (site, targets))}
    for sentence in sentences:
        points = [HookPoint(name, LAYER) for name in rows]
        with capture(model.model, points) as activations:
            model.model(torch.tensor([model.tokenizer(sentence)["input_ids"]]))
        for name, stored in rows.items():
            stored.append(activations[name, LAYER][0, 1:].detach())
    read = type(corpus.activations)(torch.cat(rows[site]))
    if targets:
        read.targets = type(corpus.activations)(torch.cat(rows[targets]))
        read.targets.site = targets
    moved = dataclasses.replace(corpus, activations=read)
    return type(data)(site, LAYER, CPU, data.model_folder, {"c": moved})


@pytest.mark.parametrize("site", ["attn_out", "mlp_in", "mlp_neurons", "mlp_out"])
def test_a_perfect_reconstruction_of_any_site_changes_nothing_and_zeros_do(site, model, sentences, make_dictionary):
    ids = torch.tensor(model.tokenizer(sentences[2])["input_ids"])
    width = 32 if site == "mlp_neurons" else D
    document = Document(ids, torch.arange(1, len(ids)))
    losses = document_losses(model.model, LAYER, document, make_dictionary(width), torch.zeros(width), [width], site)
    assert losses[width] == pytest.approx(losses["clean"], abs=1e-4)
    assert losses["zero ablation"][1] > 1e-3
    assert losses["zero ablation"] == losses["mean ablation"]


class Transcoder(Dictionary):
    """Computes the MLP of a block from its input: a transcoder that makes no error."""

    form = "test.Transcoder"
    atoms = torch.eye(D)

    def encode(self, x):
        return self.options["mlp"](x)

    def decode(self, codes, like=None):  # noqa: ARG002
        return codes


def test_a_transcoder_is_put_in_the_place_of_the_site_that_it_rebuilds(model, sentences, corpus, data, find):
    moved = elsewhere(model, sentences, corpus, data, "mlp_in", targets="mlp_out")
    traits = Traits(signed=True, linear=False, writes="mlp_out")
    perfect = Transcoder({}, traits, {"mlp": model.model.model.layers[LAYER].mlp})
    with torch.inference_mode():
        scores = evaluate(perfect, moved, Settings(k=[]), 0)
    assert find(scores, metric="kl", x=D) == pytest.approx(0, abs=1e-5)
    assert find(scores, metric="kl_recovered", x=D) == pytest.approx(1, abs=1e-3)
    silent = Transcoder({}, traits, {"mlp": torch.zeros_like})
    with torch.inference_mode():
        scores = evaluate(silent, moved, Settings(k=[]), 0)
    assert find(scores, metric="ce_recovered", x=D) == pytest.approx(0, abs=1e-5)


def test_a_model_that_zeros_do_not_hurt_is_refused(data, model, make_dictionary, monkeypatch):
    constant = torch.zeros(1, 32, model.model.config.vocab_size)
    module = "unweave.evaluations.patching.logits_from"
    monkeypatch.setattr(module, lambda _model, _layer, hidden: constant[:, : hidden.shape[1]])
    with pytest.raises(UnweaveError, match=r"^c: zero ablation does not raise the model's loss"):
        evaluate(make_dictionary(D), data, Settings(), 0)


def test_the_tokenizer_fixture_is_the_models(tiny_model_folder, sentences):
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_folder)
    assert all(0 not in tokenizer(sentence)["input_ids"] for sentence in sentences)
