import pytest
import torch
from torch import Tensor
from transformers import PreTrainedModel

from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint, block_at, blocks_of, capture
from unweave.models.partial_forward import logits_from

LAYERS = [0, 1, 3]


def residual(model: PreTrainedModel, layer: int, tokens: Tensor, mask_BT: Tensor | None = None) -> Tensor:
    point = HookPoint("resid", layer)
    with capture(model, [point]) as activations:
        model(input_ids=tokens, attention_mask=mask_BT, use_cache=False)
    return activations[point]


@pytest.mark.parametrize("layer", LAYERS)
def test_the_clean_residual_gives_the_clean_logits(model: PreTrainedModel, tokens: Tensor, layer: int) -> None:
    clean = model(input_ids=tokens, use_cache=False).logits
    assert torch.equal(logits_from(model, layer, residual(model, layer, tokens)), clean)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_changed_residual_acts_like_a_hook_that_replaces_the_block_output(
    model: PreTrainedModel, tokens: Tensor, layer: int
) -> None:
    changed = residual(model, layer, tokens) + torch.randn(*tokens.shape, model.config.hidden_size)
    handle = block_at(model, layer).register_forward_hook(lambda *_: changed)
    expected = model(input_ids=tokens, use_cache=False).logits
    handle.remove()
    assert torch.equal(logits_from(model, layer, changed), expected)


def test_the_lower_blocks_are_not_computed(model: PreTrainedModel, tokens: Tensor) -> None:
    hidden = residual(model, 2, tokens)
    computed: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, layer=layer: computed.append(layer))
        for layer, block in enumerate(blocks_of(model))
    ]
    logits_from(model, 2, hidden)
    for handle in handles:
        handle.remove()
    assert computed == [3]


def test_right_padding_changes_nothing_for_real_tokens(model: PreTrainedModel, tokens: Tensor) -> None:
    padded = torch.cat([tokens, torch.zeros(3, 5, dtype=torch.long)], dim=1)
    logits = logits_from(model, 1, residual(model, 1, padded))[:, : tokens.shape[1]]
    assert torch.allclose(logits, model(input_ids=tokens, use_cache=False).logits, atol=1e-4)


def test_an_attention_mask_reaches_the_upper_blocks(model: PreTrainedModel, tokens: Tensor) -> None:
    mask = torch.ones_like(tokens)
    mask[0, 2:5] = 0
    expected = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    hidden = residual(model, 1, tokens, mask)
    assert torch.equal(logits_from(model, 1, hidden, mask), expected)
    assert not torch.allclose(logits_from(model, 1, hidden)[0], expected[0], atol=1e-4)


def test_the_model_is_restored_even_after_an_error(model: PreTrainedModel, tokens: Tensor) -> None:
    blocks = list(blocks_of(model))
    clean = model(input_ids=tokens, use_cache=False).logits
    logits_from(model, 1, torch.zeros(2, 4, model.config.hidden_size))
    with pytest.raises(RuntimeError):
        logits_from(model, 1, torch.zeros(2, 4, model.config.hidden_size + 1))
    assert all(found is block for found, block in zip(blocks_of(model), blocks, strict=True))
    assert torch.equal(model(input_ids=tokens, use_cache=False).logits, clean)


def test_gradients_reach_the_given_residual(model: PreTrainedModel, tokens: Tensor) -> None:
    hidden = residual(model, 1, tokens).requires_grad_()
    logits_from(model, 1, hidden).logsumexp(-1).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.abs().sum() > 0


def test_a_missing_layer_is_named(model: PreTrainedModel) -> None:
    with pytest.raises(UnweaveError, match="layer 4: is missing"):
        logits_from(model, 4, torch.zeros(1, 1, 32))
