"""Which latents are active: selections of pre-activations (B, F), and the straight-through gradients of JumpReLU."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.sparse_kernels import Active

SAMPLE = 65_536
"""Pre-activations of which the bound on the largest of a batch is guessed."""


def top_k(ranking: Tensor, k: int) -> Active:
    """Select the k largest of each row of `ranking` (B, F)."""
    return Active.of_indices(ranking.topk(k, dim=1, sorted=False).indices, ranking.shape[1])


def top_of_batch(ranking: Tensor, count: int) -> Active:
    """Select the `count` largest entries of `ranking` (B, F) that are positive; there may be fewer.

    Sorting out all B F entries costs as much as the encoder. So a lower bound is guessed from a sample first, and only
    what lies above it is ranked; if that is too little, everything is. The result is the same.
    """
    flat = ranking.flatten()
    sample = flat[:: max(1, len(flat) // SAMPLE)]
    share = 1.5 * count / len(flat)
    bound = flat.new_zeros(())
    if share < 1:
        bound = sample.topk(min(len(sample), round(share * len(sample)) + 1), sorted=False).values.min().clamp_min(0)
    above = (flat > bound).nonzero()[:, 0]
    if len(above) < count:
        above = (flat > 0).nonzero()[:, 0]
    if len(above) > count:
        chosen = flat[above].topk(count, sorted=False).indices
        above = above[chosen].sort().values
    return Active.of_flat(above, *ranking.shape)


class _JumpReLU(torch.autograd.Function):
    """z H(z - t); its derivative by t is -(t / bandwidth) K((z - t) / bandwidth), K = 1 on (-1/2, 1/2)."""

    @staticmethod
    @override
    def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(z, threshold)
        ctx.bandwidth = bandwidth
        return z * (z > threshold)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, threshold = ctx.saved_tensors
        window = (z - threshold).abs() < ctx.bandwidth / 2
        return gradient * (z > threshold), gradient * window * (-threshold / ctx.bandwidth), None


class _Step(torch.autograd.Function):
    """H(z - t); its derivative by t is -(1 / bandwidth) K((z - t) / bandwidth), and none by z."""

    @staticmethod
    @override
    def forward(ctx: Any, z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
        ctx.save_for_backward(z, threshold)
        ctx.bandwidth = bandwidth
        return (z > threshold).to(z.dtype)

    @staticmethod
    @override
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        z, threshold = ctx.saved_tensors
        window = (z - threshold).abs() < ctx.bandwidth / 2
        return None, gradient * window * (-1 / ctx.bandwidth), None


def jump_relu(z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """Pre-activations z where they exceed their thresholds, else 0; same shapes. Straight-through in the threshold.

    Rajamanoharan et al. 2024 (arXiv 2407.14435), equations 11 and 12.
    """
    result: Tensor = _JumpReLU.apply(z, threshold, bandwidth)  # type: ignore[no-untyped-call]
    return result


def step(z: Tensor, threshold: Tensor, bandwidth: float) -> Tensor:
    """1 where z exceeds its threshold, else 0; same shapes. Straight-through in the threshold alone."""
    result: Tensor = _Step.apply(z, threshold, bandwidth)  # type: ignore[no-untyped-call]
    return result
