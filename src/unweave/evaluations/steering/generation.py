"""Continuing a prompt while directions are added to the residual stream."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor
from transformers import PreTrainedModel

from unweave.models.hook_points import block_at

TOP_K = 30
"""Tokens that are sampled from, at temperature 1: what the released code does, whose top_p is ignored."""


@contextmanager
def steered(model: PreTrainedModel, layer: int, added_BD: Tensor, *, last_only: bool = False) -> Iterator[None]:
    """Add a direction to every position of each sequence, or to its last, after block `layer`, while it is active."""

    def add(_: object, __: object, output: object) -> object:
        hidden = output[0] if isinstance(output, tuple) else output
        assert isinstance(hidden, Tensor)
        changed = hidden.clone()
        changed[:, -1 if last_only else 0 :] += added_BD[:, None].to(hidden.dtype)
        return (changed, *output[1:]) if isinstance(output, tuple) else changed

    handle = block_at(model, layer).register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def continuations(
    model: PreTrainedModel,
    layer: int,
    prompt_T: Tensor,
    added_BD: Tensor,
    tokens: int,
    generator: torch.Generator | None,
    *,
    last_only: bool = False,
) -> Tensor:
    """Sample `tokens` tokens after the prompt for each of the added directions: (B, tokens).

    Without a generator, each is the most probable one. `last_only` adds to the last position of the prompt alone.
    """
    ids = prompt_T[None].expand(len(added_BD), -1).to(model.device)
    cache = None
    found = []
    for step in range(tokens):
        added = steered(model, layer, added_BD, last_only=last_only) if step == 0 or not last_only else nullcontext()
        with added:
            output = model(input_ids=ids, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        ids = _next(output.logits[:, -1].float(), generator)
        found.append(ids)
    return torch.cat(found, dim=1)


def _next(logits_BV: Tensor, generator: torch.Generator | None) -> Tensor:
    """Token (B, 1) that is drawn, or the most probable one."""
    if generator is None:
        return logits_BV.argmax(dim=-1, keepdim=True)
    values, indices = logits_BV.topk(min(TOP_K, logits_BV.shape[1]), dim=-1)
    # Drawn on the processor, so that devices agree.
    drawn = torch.multinomial(values.softmax(dim=-1).cpu(), 1, generator=generator)
    return indices.gather(1, drawn.to(indices.device))


def mean_losses(model: PreTrainedModel, prompt_T: Tensor, continuations_BT: Tensor) -> Tensor:
    """Mean negative log-likelihood (B,) in nats per token of continuations under the unsteered model."""
    prompt = prompt_T.to(model.device)[None].expand(len(continuations_BT), -1)
    ids = torch.cat([prompt, continuations_BT], dim=1)
    logits = model(input_ids=ids, use_cache=False).logits[:, len(prompt_T) - 1 : -1].float()
    log_p = logits.log_softmax(dim=-1).gather(2, continuations_BT[:, :, None])[:, :, 0]
    losses: Tensor = -log_p.mean(dim=1)
    return losses
