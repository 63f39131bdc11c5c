"""Which next tokens a direction of the residual stream speaks for, if nothing else were added to it."""

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import PreTrainedModel

from unweave.errors import UnweaveError
from unweave.evaluations.steering.directions import in_residual_stream
from unweave.models.hook_points import blocks_of
from unweave.models.partial_forward import logits_from

BLOCK = 256
TOKENS = 10

Ranked = list[tuple[int, float]]
"""Tokens and their logits."""


def lens(model: PreTrainedModel, site: str, layer: int, directions: Tensor) -> Iterator[tuple[Ranked, Ranked]]:
    """Tokens of the largest and of the smallest logits of each direction (K, width) at `site` of block `layer`.

    Logits are those after the final norm, less those of no direction at all: what a bias says is left out. Nothing is
    yielded for a site that writes nothing to the residual stream.
    """
    try:
        streams = in_residual_stream(model, site, layer, directions)
    except UnweaveError:
        return
    last = len(blocks_of(model)) - 1
    for block in torch.split(streams, BLOCK):
        rows = torch.cat([block, torch.zeros_like(block[:1])])
        logits = logits_from(model, last, rows[:, None])[:, 0].float()
        differences = logits[:-1] - logits[-1]
        most = min(TOKENS, differences.shape[1])
        both = [differences.topk(most, dim=1, largest=largest) for largest in (True, False)]
        for row in range(len(block)):
            top, bottom = (list(zip(f.indices[row].tolist(), f.values[row].tolist(), strict=True)) for f in both)
            yield top, bottom
