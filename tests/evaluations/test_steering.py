from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.steering import Settings, best_cell, evaluate, split_half
from unweave.evaluations.steering.calibration import calibrate, divergence_from
from unweave.evaluations.steering.directions import in_residual_stream, raised_tokens
from unweave.evaluations.steering.generation import continuations, mean_losses, steered
from unweave.evaluations.steering.proxies import Anchors, concept, fluency, harmonic, repetition
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import load_language_model

LAYER, D = 1, 16
PROMPT = torch.tensor([3, 5, 7])


@pytest.fixture(scope="module")
def model(tiny_model_folder):
    return load_language_model(tiny_model_folder, torch.float32, torch.device("cpu")).model


@pytest.fixture(scope="module")
def stream(model):
    with capture(model, [HookPoint("resid", LAYER)]) as found:
        model(input_ids=PROMPT[None], use_cache=False)
    return found["resid", LAYER][0]


@pytest.fixture(scope="module")
def directions():
    return torch.nn.functional.normalize(torch.randn(6, D, generator=torch.Generator().manual_seed(0)))


@torch.inference_mode()
def test_no_strength_is_no_divergence(model, stream, directions):
    divergence = divergence_from(model, LAYER, stream)
    assert divergence(torch.zeros(6), directions).tolist() == pytest.approx([0] * 6, abs=1e-6)
    assert (divergence(torch.full((6,), 5.0), directions) > 0).all()


@torch.inference_mode()
def test_running_the_upper_blocks_is_steering_the_whole_model(model, stream, directions):
    strengths = torch.full((6,), 2.0)
    with steered(model, LAYER, strengths[:, None] * directions):
        logits = model(input_ids=PROMPT[None].expand(6, -1), use_cache=False).logits[:, -1]
    clean = model(input_ids=PROMPT[None], use_cache=False).logits[0, -1].log_softmax(dim=-1)
    expected = (clean.exp() * (clean - logits.log_softmax(dim=-1))).sum(dim=1)
    torch.testing.assert_close(
        divergence_from(model, LAYER, stream)(strengths, directions), expected, atol=1e-5, rtol=1e-4
    )


@torch.inference_mode()
def test_calibrated_strengths_reach_their_targets_for_both_signs(model, stream, directions):
    signed = torch.cat([directions, -directions])
    targets = torch.tensor([0.05, 0.1, 0.2] * 4)
    unit = float(stream.norm(dim=1).mean())
    found = calibrate(divergence_from(model, LAYER, stream), signed, targets, unit)
    assert found.met(targets).double().mean() > 0.8
    assert (found.strengths > 0).all()


def test_a_divergence_that_is_known_is_inverted():
    found = calibrate(lambda alpha, _: alpha.square(), torch.zeros(3, 2), torch.tensor([0.25, 1.0, 4.0]), 1.0)
    assert found.strengths.tolist() == pytest.approx([0.5, 1, 2], rel=0.02)


def test_a_target_out_of_reach_is_not_called_met():
    targets = torch.tensor([0.5])
    found = calibrate(lambda alpha, _: torch.zeros_like(alpha), torch.zeros(1, 2), targets, 1.0)
    assert not found.met(targets).any()


@torch.inference_mode()
def test_atoms_of_neurons_go_through_the_output_projection(model):
    atoms = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    weight = model.model.layers[LAYER].mlp.down_proj.weight
    expected = torch.nn.functional.normalize(atoms @ weight.T)
    torch.testing.assert_close(in_residual_stream(model, "mlp_neurons", LAYER, atoms), expected, atol=1e-5, rtol=1e-4)


def test_a_site_that_writes_nothing_is_refused(model):
    with pytest.raises(UnweaveError, match="mlp_in: adding to it writes nothing"):
        in_residual_stream(model, "mlp_in", LAYER, torch.ones(1, D))


@torch.inference_mode()
def test_the_token_whose_unembedding_it_is_is_raised_most(model):
    unembedding = model.get_output_embeddings().weight
    longest = int(unembedding.norm(dim=1).argmax())
    small = SimpleNamespace(get_output_embeddings=lambda: SimpleNamespace(weight=torch.cat([unembedding] * 2)))
    assert longest in raised_tokens(small, unembedding[longest : longest + 1])[0].tolist()


@torch.inference_mode()
def test_steering_towards_a_token_makes_it_come(model, directions):
    towards = 60 * torch.nn.functional.normalize(model.get_output_embeddings().weight[4:5])
    plain, pushed = (
        continuations(model, 2, PROMPT, added, 12, torch.Generator().manual_seed(0))
        for added in (torch.zeros(8, D), towards.expand(8, -1))
    )
    assert plain.shape == (8, 12)
    assert (pushed == 4).double().mean() > (plain == 4).double().mean() + 0.3


@torch.inference_mode()
def test_what_the_model_has_learned_has_less_loss_than_its_tokens_shuffled(tiny_model_folder, sentences):
    whole = load_language_model(tiny_model_folder, torch.float32, torch.device("cpu"))
    ids = torch.tensor(whole.tokenizer(sentences[1])["input_ids"])
    text, shuffled = ids[2:][None], ids[2:].flip(0)[None]
    assert mean_losses(whole.model, ids[:2], text) < mean_losses(whole.model, ids[:2], shuffled)


def test_loops_are_repetitive_and_cost_fluency():
    loop, varied = np.tile([1, 2], 8)[None], np.arange(16)[None]
    assert repetition(loop)[0] > 0.8
    assert repetition(varied)[0] == 0
    anchors = Anchors(fluent=2.0, broken=6.0, repeated=0.0)
    assert fluency(np.array([2.0]), repetition(loop), anchors)[0] == 0
    assert fluency(np.array([2.0, 4.0, 7.0]), np.zeros(3), anchors).tolist() == pytest.approx([2, 1, 0])


def test_concepts_need_varied_hits_for_the_full_rating():
    unsteered = np.zeros((50, 10), dtype=int)
    tokens = np.array([[0] * 10, [7, *[0] * 9], [7, 8, *[0] * 8], [7, 7, 7, *[0] * 7]])
    assert concept(tokens, np.array([7, 8, 9]), unsteered).tolist() == [0, 1, 2, 1]


@given(st.lists(st.floats(0, 2), min_size=1, max_size=9))
def test_the_harmonic_mean_lies_between_and_is_zero_if_either_is(values):
    one, other = np.array(values), np.array(values[::-1])
    found = harmonic(one, other)
    assert (found <= np.maximum(one, other) + 1e-9).all()
    assert (found[(one == 0) | (other == 0)] == 0).all()


def test_the_best_of_many_cells_is_raised_by_chance_and_the_split_half_is_not():
    ratings = np.random.default_rng(0).random((400, 14, 8))
    assert best_cell(ratings).mean() > 0.6
    assert split_half(ratings).mean() == pytest.approx(0.5, abs=0.03)


def test_features_and_random_directions_are_rated_alike(
    make_data, make_dictionary, tiny_model_folder, find, monkeypatch
):
    settings = Settings(features=3, targets=[0.05, 0.1], samples=2, tokens=6, prompt="she paid the")
    scores = evaluate(make_dictionary(D), make_data({}, tiny_model_folder), settings, 0)
    for label in ("", "random directions"):
        assert find(scores, metric="calibrated", label=label) > 0.5
        assert 0 <= find(scores, metric="steering_split_half", label=label) <= 2
        assert find(scores, metric="fluency", label=label, x=0.05) > 0.5
    assert find(scores, metric="concept_validity") > 0.7
