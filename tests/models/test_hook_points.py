from operator import attrgetter

import pytest
import torch
from torch import Tensor, nn
from transformers import OPTConfig, OPTForCausalLM, PreTrainedModel

from unweave.config import SITES
from unweave.errors import UnweaveError
from unweave.models.hook_points import FORWARD_ORDER, HookPoint, block_at, blocks_of, capture, width

LAST = 3


def captured(model: PreTrainedModel, tokens: Tensor, points: list[HookPoint]) -> dict[HookPoint, Tensor]:
    with capture(model, points) as activations:
        model(input_ids=tokens, use_cache=False)
    return activations


def hooks_of(model: PreTrainedModel) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def submodule(block: nn.Module, *paths: str) -> nn.Module:
    """The first of `paths` that the block has."""
    for path in paths:
        try:
            return attrgetter(path)(block)
        except AttributeError:
            continue
    raise AssertionError(paths)


def test_every_configured_site_has_a_place_in_the_forward_order() -> None:
    assert sorted(FORWARD_ORDER) == sorted(SITES)


def test_resid_equals_the_hidden_states_that_transformers_returns(model: PreTrainedModel, tokens: Tensor) -> None:
    expected = model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states
    for layer in range(LAST):
        found = captured(model, tokens, [HookPoint("resid", layer)])
        assert torch.equal(found["resid", layer], expected[layer + 1])


def test_resid_of_the_last_block_is_taken_before_the_final_norm(model: PreTrainedModel, tokens: Tensor) -> None:
    raw = captured(model, tokens, [HookPoint("resid", LAST)])["resid", LAST]
    last_hidden_state = model(input_ids=tokens, output_hidden_states=True, use_cache=False).hidden_states[-1]
    final_norm = submodule(model.base_model, "norm", "ln_f", "final_layer_norm")
    assert not torch.allclose(raw, last_hidden_state)
    assert torch.allclose(final_norm(raw), last_hidden_state, atol=1e-5)


def test_mlp_sites_are_recomputed_from_one_another(model: PreTrainedModel, tokens: Tensor) -> None:
    found = captured(model, tokens, [HookPoint(site, 2) for site in ("mlp_in", "mlp_neurons", "mlp_out")])
    mlp = block_at(model, 2).mlp
    down = submodule(mlp, "down_proj", "c_proj", "dense_4h_to_h")
    assert torch.allclose(mlp(found["mlp_in", 2]), found["mlp_out", 2], atol=1e-5)
    assert torch.allclose(down(found["mlp_neurons", 2]), found["mlp_out", 2], atol=1e-5)


def test_mlp_in_is_what_leaves_the_norm_before_the_mlp(model: PreTrainedModel, tokens: Tensor) -> None:
    seen: list[Tensor] = []
    norm = submodule(block_at(model, 1), "pre_feedforward_layernorm", "post_attention_layernorm", "ln_2")
    handle = norm.register_forward_hook(lambda _, __, output: seen.append(output))
    found = captured(model, tokens, [HookPoint("mlp_in", 1), HookPoint("resid", 1)])
    handle.remove()
    assert torch.equal(found["mlp_in", 1], seen[0])


def test_attention_and_mlp_outputs_add_up_to_the_change_of_the_residual_stream(
    model: PreTrainedModel, tokens: Tensor
) -> None:
    points = [HookPoint("resid", 1), *(HookPoint(site, 2) for site in ("attn_out", "mlp_out", "resid"))]
    found = captured(model, tokens, points)
    attention, mlp, block = found["attn_out", 2], found["mlp_out", 2], block_at(model, 2)
    if model.config.model_type == "gemma2":
        attention, mlp = block.post_attention_layernorm(attention), block.post_feedforward_layernorm(mlp)
    assert torch.allclose(found["resid", 1] + attention + mlp, found["resid", 2], atol=1e-4)


def test_widths_are_those_of_the_captured_activations(model: PreTrainedModel, tokens: Tensor) -> None:
    found = captured(model, tokens, [HookPoint(site, 0) for site in SITES])
    assert {point.site: tensor.shape for point, tensor in found.items()} == {
        site: (*tokens.shape, width(model, site)) for site in SITES
    }
    assert width(model, "mlp_neurons") == 80


def test_the_forward_stops_after_the_deepest_point(model: PreTrainedModel, tokens: Tensor) -> None:
    reached: list[str] = []
    watched = {"block 1": block_at(model, 1), "mlp 2": block_at(model, 2).mlp, "block 2": block_at(model, 2)}
    handles = [
        module.register_forward_hook(lambda *_, name=name: reached.append(name)) for name, module in watched.items()
    ]
    found = captured(model, tokens, [HookPoint("mlp_neurons", 2), HookPoint("resid", 0), HookPoint("attn_out", 2)])
    for handle in handles:
        handle.remove()
    assert reached == ["block 1"]
    assert set(found) == {("mlp_neurons", 2), ("resid", 0), ("attn_out", 2)}


def test_hooks_are_gone_after_a_capture_and_after_an_error(model: PreTrainedModel, tokens: Tensor) -> None:
    before = hooks_of(model)
    points = [HookPoint(site, layer) for site in SITES for layer in (0, LAST)]
    captured(model, tokens, points)
    assert hooks_of(model) == before
    with pytest.raises(ZeroDivisionError), capture(model, points):
        raise ZeroDivisionError
    assert hooks_of(model) == before


def test_the_model_computes_the_same_after_a_stopped_forward(model: PreTrainedModel, tokens: Tensor) -> None:
    before = model(input_ids=tokens, use_cache=False).logits
    captured(model, tokens, [HookPoint("resid", 0)])
    assert torch.equal(model(input_ids=tokens, use_cache=False).logits, before)


def test_a_base_model_without_a_head_is_captured_like_the_whole(model: PreTrainedModel, tokens: Tensor) -> None:
    point = HookPoint("resid", 1)
    assert len(blocks_of(model.base_model)) == LAST + 1
    assert torch.equal(captured(model.base_model, tokens, [point])[point], captured(model, tokens, [point])[point])


@pytest.mark.parametrize("layer", [-1, LAST + 1])
def test_a_missing_layer_is_named(model: PreTrainedModel, layer: int) -> None:
    with pytest.raises(UnweaveError, match=f"layer {layer}: is missing, the model has blocks 0 to {LAST}"):
        captured(model, torch.zeros(1, 1, dtype=torch.long), [HookPoint("resid", layer)])


def test_an_unknown_family_is_named() -> None:
    config = OPTConfig(
        vocab_size=50, hidden_size=8, ffn_dim=8, num_hidden_layers=1, num_attention_heads=1, word_embed_proj_dim=8
    )
    with pytest.raises(UnweaveError, match="opt: unknown model family, known are gemma2, gpt2, gpt_neox, llama"):
        blocks_of(OPTForCausalLM(config))
