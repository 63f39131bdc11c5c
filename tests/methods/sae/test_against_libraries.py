"""Losses, gradients and updates are those of dictionary_learning and sae-lens; see make_golden.py for the numbers."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from unweave.methods.sae.initial import geometric_median
from unweave.methods.sae.settings import BatchTopK, Gated, JumpReLU, ReLU, Settings, TopK
from unweave.methods.sae.variants import OBJECTIVES
from unweave.methods.training import TrainingSettings, learning_rate

GOLDEN = load_file(Path(__file__).with_name("golden.safetensors"))
DEAD = 10_000_000
FREE = {"unit_decoder": False, "subtract_b_dec": True}
UNIT = {"unit_decoder": True, "subtract_b_dec": True}
CASES = {
    "dl_topk": (TopK(k=4, aux_scale="residual"), UNIT),
    "dl_topk_dead": (TopK(k=4, aux_scale="residual"), UNIT),
    "dl_batchtopk": (BatchTopK(k=4, aux_scale="residual"), UNIT),
    "dl_relu": (ReLU(l1_coefficient=0.3), FREE),
    "dl_gated": (Gated(l1_coefficient=0.3), UNIT),
    "dl_jumprelu": (JumpReLU(l0_coefficient=2.0, target_l0=5, bandwidth=0.3), {**UNIT, "subtract_b_dec": False}),
    "sl_relu": (ReLU(l1_coefficient=0.3), FREE),
    "sl_topk": (TopK(k=4, aux_coefficient=1), FREE),
    "sl_topk_dead": (TopK(k=4, aux_coefficient=1), FREE),
    "sl_signed_dead": (TopK(k=4, signed=True, aux_coefficient=1), FREE),
    "sl_batchtopk": (BatchTopK(k=4), FREE),
    "sl_matryoshka": (BatchTopK(k=4, prefixes=(1 / 6, 1 / 3)), FREE),
    "sl_jumprelu": (JumpReLU(l0_coefficient=0.7, bandwidth=0.3), FREE),
    "sl_gated": (Gated(l1_coefficient=0.3), UNIT),
}
KNOWN_TO_DIFFER = {"sl_gated": {"W_dec_grad", "b_dec_grad"}}


def objective_of(case):
    gate, settings = CASES[case]
    weights = {name: GOLDEN[name] for name in ("W_enc", "b_enc", "b_dec")}
    weights["W_dec"] = GOLDEN["W_unit"] if settings["unit_decoder"] else GOLDEN["W_free"]
    objective = OBJECTIVES[type(gate)](weights, Settings(gate=gate, **settings), gate)
    with torch.no_grad():
        for name in ("threshold", "r_mag", "b_mag"):
            if name in objective.parameters:
                objective.parameters[name].copy_(GOLDEN[name])
    if f"{case}.silent" in GOLDEN:
        objective.state["silent_tokens"] += GOLDEN[f"{case}.silent"].long()
    if f"{case}.dead" in GOLDEN:
        objective.state["silent_tokens"] += DEAD * GOLDEN[f"{case}.dead"].long()
    return objective


@pytest.mark.parametrize("sparse", [True, False], ids=["sparse", "dense"])
@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_equal(case, sparse, batch_of):
    objective = objective_of(case)
    objective.forced = sparse
    values = objective.backward(batch_of(GOLDEN["x"]), step=1000)
    torch.testing.assert_close(values["loss"], GOLDEN[f"{case}.loss"], rtol=1e-5, atol=1e-5)
    for name, parameter in objective.parameters.items():
        expected = GOLDEN.get(f"{case}.{name}_grad")
        if expected is not None and f"{name}_grad" not in KNOWN_TO_DIFFER.get(case, set()):
            error = (parameter.grad - expected).abs().max() / expected.abs().max()
            assert error < 1e-5, name


def test_every_case_has_dead_latents_where_its_name_says_so(batch_of):
    for case in CASES:
        objective = objective_of(case)
        values = objective.backward(batch_of(GOLDEN["x"]), step=1000)
        assert ("aux" in values) == (case.endswith("_dead") or case == "dl_batchtopk")


@pytest.mark.parametrize("case", ["dl_topk", "dl_topk_dead", "dl_batchtopk"])
def test_the_auxiliary_loss_and_the_counters_of_dead_latents_are_equal(case, batch_of):
    objective = objective_of(case)
    values = objective.backward(batch_of(GOLDEN["x"]), step=1000)
    aux = values.get("aux", torch.tensor(0.0)) / objective.gate.aux_coefficient
    torch.testing.assert_close(aux, GOLDEN[f"{case}.aux"], rtol=1e-5, atol=1e-5)
    assert torch.equal(objective.state["silent_tokens"], GOLDEN[f"{case}.silent_after"].long())


@pytest.mark.parametrize(("case", "rate", "start"), [("dl_batchtopk", 0.001, -1.0), ("sl_batchtopk", 0.01, 0.0)])
def test_the_running_threshold_moves_as_theirs(case, rate, start, batch_of):
    objective = objective_of(case)
    objective.gate = objective.gate.model_copy(update={"threshold_rate": rate})
    objective.state["threshold"].fill_(start)
    for number, scale in ((1, 1), (2, 2)):
        objective.backward(batch_of(scale * GOLDEN["x"]), step=0)
        expected = GOLDEN[f"{case}.threshold_{number}"].double()
        torch.testing.assert_close(objective.state["threshold"], expected, rtol=1e-5, atol=1e-7)


def test_the_learning_rate_is_that_of_sae_lens():
    settings = TrainingSettings(tokens=50 * 2, batch_size=2, learning_rate=2e-3, warmup_steps=6, decay_fraction=0.2)
    rates = torch.tensor([learning_rate(step, settings, 50) for step in range(50)])
    torch.testing.assert_close(rates, GOLDEN["schedules.sae_lens"], rtol=1e-5, atol=1e-9)


def test_the_geometric_median_is_that_of_dictionary_learning():
    torch.testing.assert_close(geometric_median(GOLDEN["x"]), GOLDEN["median.point"], rtol=1e-4, atol=1e-4)
