"""Running only the upper part of a model, on a residual stream that somebody else provides."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from unweave.models.hook_points import block_at, blocks_of


class _Given(nn.Module):
    """Stands in for a block and returns a given residual stream, whatever comes in."""

    def __init__(self, hidden_BTD: Tensor) -> None:
        super().__init__()
        self.hidden_BTD = hidden_BTD

    def forward(self, *_: Any, **__: Any) -> Tensor:
        return self.hidden_BTD


@contextmanager
def _replaced_up_to(model: PreTrainedModel, layer: int, substitute: nn.Module) -> Iterator[None]:
    """Put `substitute` in the place of blocks 0 to `layer`, so that the others keep their positions."""
    block_at(model, layer)
    blocks = blocks_of(model)
    originals = list(blocks[: layer + 1])
    try:
        for position in range(layer + 1):
            blocks[position] = substitute
        yield
    finally:
        for position, original in enumerate(originals):
            blocks[position] = original


def logits_from(
    model: PreTrainedModel, layer: int, hidden_BTD: Tensor, attention_mask_BT: Tensor | None = None
) -> Tensor:
    """Logits (B, T, vocabulary) when the residual stream after block `layer` is `hidden_BTD`.

    Blocks 0 to `layer` are not computed. `hidden_BTD` is cast to the model's dtype, and gradients reach it unless the
    caller turned them off. Right padding needs no mask, because no real token attends to a later one;
    `attention_mask_BT` (1 = real) is for other masks.

    Raises
    ------
    UnweaveError
        if the model's family is unknown or it has no such block.
    """
    hidden_BTD = hidden_BTD.to(model.dtype)
    with _replaced_up_to(model, layer, _Given(hidden_BTD)):
        logits: Tensor = model(inputs_embeds=hidden_BTD, attention_mask=attention_mask_BT, use_cache=False).logits
    return logits
