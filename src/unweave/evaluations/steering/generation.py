"""Continuing a prompt while directions are added to the residual stream."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel

from unweave.models.hook_points import block_at

TOP_K = 30
"""Tokens that are sampled from, at temperature 1: what the released code does, whose top_p is ignored."""


@contextmanager
def steered(model: PreTrainedModel, layer: int, added_BD: Tensor) -> Iterator[None]:
    """Add a direction to every position of each sequence after block `layer`, while the block is active."""

    def add(_: object, __: object, output: object) -> object:
        hidden = output[0] if isinstance(output, tuple) else output
        assert isinstance(hidden, Tensor)
        changed = hidden + added_BD[:, None].to(hidden.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = block_at(model, layer).register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def continuations(
    model: PreTrainedModel, layer: int, prompt_T: Tensor, added_BD: Tensor, tokens: int, generator: torch.Generator
) -> Tensor:
    """Sample `tokens` tokens after the prompt for each of the added directions: (B, tokens)."""
    ids = prompt_T[None].expand(len(added_BD), -1).to(model.device)
    cache = None
    found = []
    with steered(model, layer, added_BD):
        for _ in range(tokens):
            output = model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            logits = output.logits[:, -1].float()
            values, indices = logits.topk(min(TOP_K, logits.shape[1]), dim=-1)
            # Drawn on the processor, so that devices agree.
            drawn = torch.multinomial(values.softmax(dim=-1).cpu(), 1, generator=generator)
            ids = indices.gather(1, drawn.to(indices.device))
            found.append(ids)
    return torch.cat(found, dim=1)


def mean_losses(model: PreTrainedModel, prompt_T: Tensor, continuations_BT: Tensor) -> Tensor:
    """Mean negative log-likelihood (B,) in nats per token of continuations under the unsteered model."""
    prompt = prompt_T.to(model.device)[None].expand(len(continuations_BT), -1)
    ids = torch.cat([prompt, continuations_BT], dim=1)
    logits = model(input_ids=ids, use_cache=False).logits[:, len(prompt_T) - 1 : -1].float()
    log_p = logits.log_softmax(dim=-1).gather(2, continuations_BT[:, :, None])[:, :, 0]
    losses: Tensor = -log_p.mean(dim=1)
    return losses
