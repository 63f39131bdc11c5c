"""Entropy of a set of one-bit codes, estimated from counts.

Shapes: n codes, F channels; counts (F,) of ones, joint counts (F, F) of pairs of ones. All in float64 and in bits.

The sum of the entropies of channels bounds their joint entropy from above, and is far above it where channels repeat
or depend on each other. Chow and Liu's tree takes away what pairs of channels share: it is never above the sum, never
below the joint entropy, and exact where channels are copies of independent ones.
"""

import math

import torch
from torch import Tensor


def channel_entropies(counts: Tensor, n: int) -> Tensor:
    """Plug-in entropy (F,) of each channel."""
    p = counts.double() / n
    return -(torch.xlogy(p, p) + torch.xlogy(1 - p, 1 - p)) / math.log(2)


def _varying(counts: Tensor, n: int) -> Tensor:
    return (counts > 0) & (counts < n)


def summed_entropy(counts: Tensor, n: int) -> float:
    """Sum over channels of their plug-in entropies."""
    return float(channel_entropies(counts, n).sum())


def miller_madow_entropy(counts: Tensor, n: int) -> float:
    """Add to `summed_entropy` 1 / (2 n ln 2) for each channel that is not constant: its bias to first order."""
    return summed_entropy(counts, n) + int(_varying(counts, n).sum()) / (2 * n * math.log(2))


def mutual_information(joint: Tensor, counts: Tensor, n: int, channel: int) -> Tensor:
    """Plug-in mutual information (F,) of one channel with every channel.

    `joint` (F,) are the numbers of codes in which both that channel and another one are on.
    """
    on = counts[channel]
    cells = torch.stack([joint, on - joint, counts - joint, n - on - counts + joint]).double() / n
    jointly = -torch.xlogy(cells, cells).sum(0) / math.log(2)
    entropies = channel_entropies(counts, n)
    return (entropies[channel] + entropies - jointly).clamp_min(0)


def chow_liu_entropy(joint: Tensor, n: int) -> float:
    """Entropy of the best tree-shaped distribution (Chow and Liu 1968) of codes with joint counts (F, F).

    That is the sum of the channels' entropies less the mutual information along a maximum spanning tree. The tree is
    grown channel by channel (Prim), so that no F x F table of mutual information is made.
    """
    chosen = _varying(joint.diagonal(), n).nonzero().squeeze(1)
    if len(chosen) == 0:
        return 0.0
    joint = joint[chosen][:, chosen].double()
    counts = joint.diagonal().clone()
    best = mutual_information(joint[0], counts, n, 0)
    outside = torch.ones(len(counts), dtype=torch.bool, device=joint.device)
    outside[0] = False
    shared = 0.0
    for _ in range(len(counts) - 1):
        channel = int(torch.where(outside, best, -1.0).argmax())
        shared += float(best[channel])
        outside[channel] = False
        best = torch.maximum(best, mutual_information(joint[channel], counts, n, channel))
    return float(channel_entropies(counts, n).sum()) - shared
