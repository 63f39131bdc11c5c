"""Which groups are dead, and the loss that pulls them back: they rebuild what the living ones leave.

Two versions. In the paper a dead group encodes the residual, and whole groups take part (arXiv 2606.06333, appendix
C.1). In the published code single columns take part with the codes that they have on the token anyway.

Shapes: B tokens, d dimensions, K groups of r codes; k columns are those of dead groups, and E, D (k, d) their rows.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.sasa.gates import group_norms


@dataclass(frozen=True)
class AuxiliaryLoss:
    """Value and gradients of an auxiliary loss, for the columns that take part."""

    value: Tensor
    to_encoder: Tensor
    """(k, d)"""
    to_decoder: Tensor
    """(k, d)"""
    to_codes: Tensor
    """(k,) sum over tokens of the gradient of codes that are read from the activation; 0 where they are not."""
    to_output: Tensor
    """(d,) sum over tokens of the gradient of the decoder bias by way of the output."""


def window_state(groups: int, device: torch.device) -> dict[str, Tensor]:
    """Before the first window: nothing has fired, and no group is known to be dead."""
    return {
        "fired": torch.zeros(groups, dtype=torch.int64, device=device),
        "seen": torch.zeros((), dtype=torch.int64, device=device),
        "dead": torch.zeros(groups, dtype=torch.bool, device=device),
    }


def watch_window(state: dict[str, Tensor], firings: Tensor, tokens: int, window: int, frequency: float) -> None:
    """Count the `firings` (K,) of each group on `tokens` more tokens, and judge the groups at the end of a window.

    A window ends with the first batch by which `window` tokens have been seen. Groups that fired on at most `frequency`
    of its tokens are dead until the end of the next one; at 1e-4 of 1,000 tokens these are the groups that never fired.
    """
    state["fired"] += firings
    state["seen"] += tokens
    ended = state["seen"] >= window
    silent = state["fired"] <= frequency * state["seen"]
    state["dead"].copy_(torch.where(ended, silent, state["dead"]))
    state["fired"] *= ~ended
    state["seen"] *= ~ended


def silence_state(groups: int, device: torch.device) -> dict[str, Tensor]:
    """Before the first step: no group has been silent yet."""
    return {
        "silent_steps": torch.zeros(groups, dtype=torch.int64, device=device),
        "dead": torch.zeros(groups, dtype=torch.bool, device=device),
    }


def watch_silence(state: dict[str, Tensor], firings: Tensor, window: int) -> None:
    """Count the steps in which each group (K,) did not fire at all; it is dead after more than `window` in a row."""
    state["silent_steps"] += 1
    state["silent_steps"] *= firings == 0
    state["dead"].copy_(state["silent_steps"] > window)


def dead_groups_loss(
    residual: Tensor, E: Tensor, D: Tensor, group_size: int, units: int, weight: float
) -> AuxiliaryLoss:
    """Mean over tokens of ||e - sum_g D_g^T E_g e||^2, e the residual (B, d), times `weight`.

    The sum goes over the `units` dead groups of largest ||E_g e|| on each token. The residual is taken as given: it has
    no gradient.
    """
    codes = residual @ E.T
    norms = group_norms(codes, group_size)
    kept = torch.zeros_like(norms).scatter_(1, norms.topk(min(units, norms.shape[1]), dim=1).indices, 1.0)
    kept = kept.repeat_interleave(group_size, dim=1)
    codes *= kept
    error = codes @ D - residual
    to_rebuilt = (2 * weight / len(residual)) * error
    to_codes = (to_rebuilt @ D.T).mul_(kept)
    return AuxiliaryLoss(
        weight * error.square().sum(dtype=torch.float64) / len(residual),
        to_codes.T @ residual,
        codes.T @ to_rebuilt,
        residual.new_zeros(len(E)),
        residual.new_zeros(residual.shape[1]),
    )


def dead_columns_loss(
    residual: Tensor,
    codes: Tensor,
    centred: Tensor,
    D: Tensor,
    scale: Tensor | float,
    offset: Tensor | float,
    units: int,
    weight: float,
) -> AuxiliaryLoss:
    """Mean over tokens of ||e - scale (S D) - offset||^2, e the residual (B, d), times `weight` and min(k / u, 1).

    S are `codes` (B, k) of the dead columns before the gate, of which u = min(units, d / 2) count on each token, those
    of largest signed value. `centred` (B, d) is what they were read from, and `scale` and `offset` lead back to
    activations: (B, 1) and (B, d), or 1 and 0. The residual has no gradient.
    """
    B, d = residual.shape
    most = max(1, min(units, d // 2))
    kept = torch.zeros_like(codes).scatter_(1, codes.topk(min(most, codes.shape[1]), dim=1).indices, 1.0)
    codes = codes * kept
    error = scale * (codes @ D) + offset - residual
    factor = weight * min(codes.shape[1] / most, 1.0)
    to_output = (2 * factor / B) * scale * error
    to_codes = (to_output @ D.T).mul_(kept)
    return AuxiliaryLoss(
        factor * error.square().sum(dtype=torch.float64) / B,
        to_codes.T @ centred,
        codes.T @ to_output,
        to_codes.sum(0),
        to_output.sum(0),
    )
