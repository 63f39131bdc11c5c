"""How far back the text lies that makes a feature fire: by cutting the text off, and by gradients (ICA Lens)."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from unweave.errors import UnweaveError
from unweave.models.hook_points import HookPoint, capture

Integers = NDArray[np.int64]
Strengths = Callable[[Tensor], Tensor]
"""Strengths (n, F) of activations (n, d)."""

BATCH = 32


def last_activations(model: PreTrainedModel, point: HookPoint, sequences: Sequence[Tensor]) -> Tensor:
    """Activations (len(sequences), d) at the last token of each sequence of tokens, padded on the right."""
    found = []
    for start in range(0, len(sequences), BATCH):
        batch = sequences[start : start + BATCH]
        ends = torch.tensor([len(ids) - 1 for ids in batch])
        ids = torch.nn.utils.rnn.pad_sequence(list(batch), batch_first=True)
        with capture(model, [point]) as activations:
            model(input_ids=ids.to(model.device), use_cache=False)
        found.append(activations[point][torch.arange(len(batch)), ends].float())
    return torch.cat(found)


def suffix_field(ranks: Sequence[int], lengths: Sequence[int], top: int) -> float | None:
    """Shortest of the `lengths` at which the feature is among the `top` strongest; None if it never is.

    `ranks` are those of the feature, from 1, when the token has as much text as `lengths` says. Where lengths are more
    than one apart, the field lies between the last that failed and the first that did not: their geometric mean.
    """
    failed = 0
    for rank, length in zip(ranks, lengths, strict=True):
        if rank <= top:
            return float(length) if length - failed <= 1 else float(np.sqrt(failed * length))
        failed = length
    return None


def ranks_of(strengths: Tensor, features: Tensor) -> Integers:
    """Rank (n,) of the feature of each row among all of strengths (n, F), from 1; last where it does not fire."""
    own = strengths.gather(1, features[:, None])
    rank = 1 + (strengths > own).sum(dim=1)
    ranks: Integers = torch.where(own[:, 0] > 0, rank, strengths.shape[1] + 1).cpu().numpy()
    return ranks


def gradient_field(
    model: PreTrainedModel, point: HookPoint, strengths: Strengths, ids: Tensor, feature: int
) -> float | None:
    """exp(sum_i p_i log d_i), with p_i the share of ||d strength / d embedding_i||^2 and d_i = 1 at the token itself.

    The first token, which models use as a sink, does not count unless it is the only one. None where the gradient is 0.

    Raises
    ------
    UnweaveError
        if the strengths are computed in a way that has no gradient.
    """
    with torch.inference_mode(False), torch.enable_grad():
        tokens = ids.clone().to(model.device)
        embedded = model.get_input_embeddings()(tokens[None]).detach().clone().requires_grad_()
        with capture(model, [point]) as activations:
            model(inputs_embeds=embedded, use_cache=False)
        strength = strengths(activations[point][0, -1:].float())[0, feature]
        if not strength.requires_grad:
            raise UnweaveError("codes of this dictionary have no gradient: set `gradients` to 0 for it")
        (gradient,) = torch.autograd.grad(strength, embedded)
    weights = gradient[0].square().sum(dim=1).double()
    if len(weights) > 1:
        weights[0] = 0
    total = float(weights.sum())
    if total == 0:
        return None
    distances = torch.arange(len(weights), 0, -1, dtype=torch.float64, device=weights.device)
    return float(torch.exp((weights / total * distances.log()).sum()))
