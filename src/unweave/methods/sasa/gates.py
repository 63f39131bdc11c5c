"""Which groups of codes are active on which token. A group's score is the Euclidean norm of its codes.

Shapes: n tokens, K groups of r adjacent codes, F = K r, s active groups. Codes before the gate are (n, F), group-major.
"""

import torch
from torch import Tensor

from unweave.methods.sparse_kernels import Active


def group_norms(codes: Tensor, group_size: int) -> Tensor:
    """Norms (n, K), float32, of the groups of codes (n, F) of any float type."""
    grouped = codes.unflatten(1, (-1, group_size))
    norms: Tensor = torch.linalg.vector_norm(grouped, dim=2, dtype=torch.promote_types(codes.dtype, torch.float32))
    return norms


def top_s(codes: Tensor, group_size: int, s: int) -> Active:
    """Select the s groups of largest norm of each token."""
    groups = group_norms(codes, group_size).topk(s, dim=1).indices
    return Active.of_groups(groups, group_size, codes.shape[1])


def batch_top_s(codes: Tensor, group_size: int, s: int) -> tuple[Active, Tensor]:
    """Select the n s groups of largest norm of all tokens together, and say how large the smallest of them is.

    BatchTopK (arXiv 2412.06410) on groups.
    """
    norms = group_norms(codes, group_size)
    largest = norms.flatten().topk(s * len(codes))
    chosen = torch.zeros(norms.numel(), dtype=torch.bool, device=codes.device)
    chosen[largest.indices] = True
    return _of_group_mask(chosen.view_as(norms), group_size), largest.values[-1]


def above_threshold(codes: Tensor, group_size: int, threshold: Tensor) -> Active:
    """Select the groups whose norm is above `threshold` (a scalar): any number of them on a token."""
    return _of_group_mask(group_norms(codes, group_size) > threshold, group_size)


def group_firings(active: Active, group_size: int) -> Tensor:
    """On how many tokens each group (K,) is active, int64."""
    groups = active.features[::group_size] // group_size
    return torch.bincount(groups, minlength=active.n_features // group_size)


def _of_group_mask(mask: Tensor, group_size: int) -> Active:
    starts = torch.zeros(len(mask) + 1, dtype=torch.int32, device=mask.device)
    starts[1:] = group_size * torch.count_nonzero(mask, dim=1).cumsum(0)
    members = torch.arange(group_size, device=mask.device)
    features = mask.nonzero()[:, 1:] * group_size + members
    return Active(starts, features.flatten().to(torch.int32), mask.shape[1] * group_size)
