from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sae_bench.evals.core import main as reference

from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredTokens
from unweave.evaluations import core, patching
from unweave.methods.linear import LinearDictionary
from unweave.models.hook_points import HookPoint, capture, replaced

PADDING, TOKEN = 0, 1


class Store:
    """Hands out one batch after the other."""

    def __init__(self, batches):
        self.batches = iter(batches)

    def get_batch_tokens(self, _):
        return next(self.batches)


@pytest.fixture(scope="module")
def padded(labelled):
    """All test texts as one batch (texts, context, d) and which of its tokens are real."""
    x = torch.cat(list(labelled.padded["test"].values()))
    return SimpleNamespace(x=x, tokens=torch.where(x.abs().sum(dim=2) > 0, TOKEN, PADDING))


@pytest.fixture
def ours(dictionary, padded, labelled, make_data):
    real = padded.tokens == TOKEN
    docs, positions = (axis.numpy() for axis in real.nonzero(as_tuple=True))
    corpus = SimpleNamespace(
        activations=InMemoryActivations(padded.x[real]),
        tokens=StoredTokens(np.zeros(len(docs), dtype=np.int64), docs, positions),
    )
    scores = core.evaluate(dictionary, make_data(corpus), core.Settings(patched_tokens=0), 0)
    return {s.metric: s.value for s in scores if not s.x_name and s.label in ("", "all positions")}


@pytest.fixture
def theirs(dictionary, padded, reference_sae):
    sae = reference_sae(dictionary)
    model = SimpleNamespace(run_with_cache=lambda *_, names_filter, **__: (None, {names_filter[0]: padded.x}))
    metrics, features = reference.get_sparsity_and_variance_metrics(
        sae, model, Store([padded.tokens]), 1, True, True, True, True, len(padded.x), {}, {PADDING}
    )
    sae.cfg.architecture_str = "standard"
    features |= reference.get_featurewise_weight_based_metrics(sae)
    return metrics | reference.calculate_misc_metrics(features) | {"features": features}


def test_reconstruction_and_sparsity_are_those_of_saebench(ours, theirs, padded):
    same = {
        "l0": "l0",
        "l1_saebench": "l1",
        "norm_in": "l2_norm_in",
        "norm_out": "l2_norm_out",
        "norm_ratio": "l2_ratio",
        "relative_bias": "relative_reconstruction_bias",
        "fve_saebench": "explained_variance",
        "fve_saebench_legacy": "explained_variance_legacy",
        "cosine": "cossim",
    }
    for name, theirs_name in same.items():
        assert ours[name] == pytest.approx(theirs[theirs_name], rel=2e-6), name
    # Theirs is divided by the tokens of the batch as well.
    assert ours["mse"] == pytest.approx(theirs["mse"] * int((padded.tokens == TOKEN).sum()), rel=2e-6)


def test_angles_between_directions_are_those_of_saebench(dictionary, ours, theirs):
    assert ours["decoder_max_cosine"] == pytest.approx(theirs["average_max_decoder_cosine_sim"], abs=1e-6)
    if dictionary.readers is not None:
        assert ours["encoder_max_cosine"] == pytest.approx(theirs["average_max_encoder_cosine_sim"], abs=1e-6)
        cosines = theirs["features"]["encoder_decoder_cosine_sim"]
        assert ours["encoder_decoder_cosine"] == pytest.approx(np.mean(cosines), abs=1e-6)


def test_firings_are_those_of_saebench_where_codes_have_one_sign(dictionary, ours, theirs):
    """Of signed codes it counts the positive ones alone; a group of ours is one feature."""
    if dictionary.traits.signed:
        pytest.skip("other features are counted")
    assert 1 - ours["dead"] == pytest.approx(theirs["frac_alive"], abs=1e-6)
    assert ours["over_1pct"] == pytest.approx(theirs["freq_over_1_percent"], abs=1e-6)
    assert ours["over_10pct"] == pytest.approx(theirs["freq_over_10_percent"], abs=1e-6)
    assert ours["firings_over_1pct"] == pytest.approx(theirs["normalized_freq_over_1_percent"], abs=1e-6)
    assert ours["firings_over_10pct"] == pytest.approx(theirs["normalized_freq_over_10_percent"], abs=1e-6)
    consistency = np.nanmean(theirs["features"]["consistent_activation_heuristic"])
    assert ours["firings_per_document"] == pytest.approx(consistency, rel=1e-6)


def test_the_explained_variance_of_saebench_is_not_one(ours):
    """Its mean over dimensions is one of squares: the two disagree although the reconstruction is the same."""
    assert abs(ours["fve"] - ours["fve_saebench"]) > 1e-3


class Hooked:
    """A transformers model behind the calls that SAEBench makes of TransformerLens."""

    def __init__(self, model):
        self.model = model

    def __call__(self, ids, **_):
        logits = self.model(input_ids=ids).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
        return logits, loss

    def run_with_hooks(self, ids, *, fwd_hooks, **_):
        ((_, hook),) = fwd_hooks
        point = HookPoint("resid", 1)
        with capture(self.model, {point}) as found:
            self.model(input_ids=ids)
        with replaced(self.model, point, hook(found[point].clone(), None)):
            return self(ids)


@torch.no_grad()
def test_what_the_model_loses_is_that_of_saebench(tiny_model, make_data, reference_sae):
    """Where every position is replaced; it counts the divergence of the last position too, which predicts nothing."""
    d = tiny_model.model.config.hidden_size
    basis = torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(0)))[0][:6]
    dictionary = LinearDictionary.build(torch.zeros(d), basis, basis)
    texts = [tiny_model.tokenizer(text, return_tensors="pt")["input_ids"] for text in tiny_model.texts]
    sae, hooked = reference_sae(dictionary, "blocks.1.hook_resid_post"), Hooked(tiny_model.model)
    theirs = reference.get_downstream_reconstruction_metrics(sae, hooked, Store(texts), True, True, len(texts), 1)
    losses = [
        reference.get_recons_loss(sae, hooked, ids, None, compute_kl=True, compute_ce_loss=False) for ids in texts
    ]
    point = HookPoint("resid", 1)
    rows = []
    for ids in texts:
        with capture(tiny_model.model, {point}) as found:
            tiny_model.model(input_ids=ids)
        rows.append(found[point][0])
    lengths = [len(r) for r in rows]
    tokens = StoredTokens(
        torch.cat([ids[0] for ids in texts]).numpy(),
        np.repeat(np.arange(len(texts)), lengths),
        np.concatenate([np.arange(length) for length in lengths]),
    )
    corpus = SimpleNamespace(activations=InMemoryActivations(torch.cat(rows)), tokens=tokens, texts=tiny_model.texts)
    scores = patching.evaluate(
        dictionary, make_data(corpus, tiny_model.folder), patching.Settings(k=[], tokens=10**6), 0
    )
    ours = {(s.metric, s.label): s.value for s in scores}
    assert ours["cross_entropy", "clean"] == pytest.approx(theirs["ce_loss_without_sae"], abs=1e-6)
    assert ours["cross_entropy", "zero ablation"] == pytest.approx(theirs["ce_loss_with_ablation"], abs=1e-6)
    assert ours["cross_entropy", ""] == pytest.approx(theirs["ce_loss_with_sae"], abs=1e-6)
    assert ours["ce_recovered", ""] == pytest.approx(theirs["ce_loss_score"], abs=1e-5)
    for label, name in (("", "kl_div_with_sae"), ("zero ablation", "kl_div_with_ablation")):
        divergence = float(torch.cat([loss[name][0, :-1] for loss in losses]).double().mean())
        assert ours["kl", label] == pytest.approx(divergence, abs=1e-6)
