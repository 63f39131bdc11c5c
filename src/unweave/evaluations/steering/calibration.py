"""The strength at which a direction changes the next token by a given divergence (Semi-NMF, Section 4.2)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import kl_div
from transformers import PreTrainedModel

from unweave.models.partial_forward import logits_from

HALVINGS = 24
WEAKEST, STRONGEST = 1e-3, 1e3
"""Strengths that are searched, in units of the mean norm of the residual stream of the prompt."""
TOLERANCE = 0.05
"""Of the target, relative: the paper's absolute 0.01 is 40 % of its smallest target."""
BATCH = 64

Divergence = Callable[[Tensor, Tensor], Tensor]
"""KL (n,) of adding the strengths (n,) times the directions (n, d)."""


def divergence_from(model: PreTrainedModel, layer: int, stream_TD: Tensor, *, last_only: bool = False) -> Divergence:
    """KL(unsteered || steered) in nats of the next token after a prompt, whose residual stream after a block is given.

    The directions are added at every position, or at the last. Only the blocks above are run, for many directions at
    once.
    """
    where_T1 = torch.ones_like(stream_TD[:, :1])
    if last_only:
        where_T1[:-1] = 0
    clean = logits_from(model, layer, stream_TD[None])[0, -1].float().log_softmax(dim=-1)

    def divergence(strengths: Tensor, directions: Tensor) -> Tensor:
        found = []
        for alpha, v in zip(torch.split(strengths, BATCH), torch.split(directions, BATCH), strict=True):
            steered = stream_TD + where_T1 * (alpha[:, None] * v)[:, None]
            log_p = logits_from(model, layer, steered)[:, -1].float().log_softmax(dim=-1)
            kl = kl_div(log_p, clean.expand_as(log_p), reduction="none", log_target=True).sum(dim=1)
            found.append(kl.clamp_min(0))
        return torch.cat(found)

    return divergence


@dataclass(frozen=True)
class Calibrated:
    """Strengths (n,) and the divergences (n,) that they reach."""

    strengths: Tensor
    divergences: Tensor

    def met(self, targets: Tensor) -> Tensor:
        """Whether each divergence is within 5 % of its target (n,)."""
        return (self.divergences - targets).abs() <= TOLERANCE * targets


def calibrate(divergence: Divergence, directions: Tensor, targets: Tensor, unit: float) -> Calibrated:
    """Find the strength of each direction (n, d) that reaches its target (n,), all by bisection at once.

    `unit` is the norm that strengths are measured in. Divergence need not rise with strength everywhere: what is found
    is one crossing, and the nearest that was tried is kept.
    """
    low = torch.full_like(targets, WEAKEST * unit)
    high = torch.full_like(targets, STRONGEST * unit)
    best, reached = low.clone(), torch.full_like(targets, float("inf"))
    for _ in range(HALVINGS):
        middle = (low * high).sqrt()
        found = divergence(middle, directions)
        nearer = (found - targets).abs() < (reached - targets).abs()
        best, reached = torch.where(nearer, middle, best), torch.where(nearer, found, reached)
        above = found > targets
        high, low = torch.where(above, middle, high), torch.where(above, low, middle)
        if bool(((reached - targets).abs() <= 0.2 * TOLERANCE * targets).all()):
            break
    return Calibrated(best, reached)
