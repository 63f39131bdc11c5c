"""Which groups of codes are active on which token. A group's score is the Euclidean norm of its codes.

Shapes: n tokens, K groups of r adjacent codes, F = K r, s active groups. Codes before the gate are (n, F), group-major.
"""

import torch
from torch import Tensor

from unweave.methods.sae.gates import top_of_batch
from unweave.methods.sparse_kernels import Active

CHUNK_ROWS = 64
"""Rows that are widened to float32 at once: all of them together would leave the processor's cache."""


def group_norms(codes: Tensor, group_size: int) -> Tensor:
    """Norms (n, K), float32, of the groups of codes (n, F) of any float type."""
    dtype = torch.promote_types(codes.dtype, torch.float32)
    return torch.cat(
        [
            torch.linalg.vector_norm(rows.to(dtype).view(len(rows), -1, group_size), dim=2)
            for rows in torch.split(codes, len(codes) if codes.dtype == dtype else CHUNK_ROWS)
        ]
    )


def top_s(codes: Tensor, group_size: int, s: int) -> Active:
    """Select the s groups of largest norm of each token."""
    groups = group_norms(codes, group_size).topk(s, dim=1).indices
    return Active.of_groups(groups, group_size, codes.shape[1])


def batch_top_s(codes: Tensor, group_size: int, s: int) -> tuple[Active, Tensor]:
    """Select the n s groups of largest norm of all tokens together, and say how large the smallest of them is.

    BatchTopK (arXiv 2412.06410) on groups.
    """
    norms = group_norms(codes, group_size)
    chosen = top_of_batch(norms, s * len(codes))
    smallest = norms.flatten()[chosen.positions].min() if chosen.count else norms.new_zeros(())
    return _of_group_positions(chosen.positions, codes, group_size), smallest


def above_threshold(codes: Tensor, group_size: int, threshold: Tensor) -> Active:
    """Select the groups whose norm is above `threshold` (a scalar): any number of them on a token."""
    above = (group_norms(codes, group_size) > threshold).flatten().nonzero()[:, 0]
    return _of_group_positions(above, codes, group_size)


def group_firings(active: Active, group_size: int) -> Tensor:
    """On how many tokens each group (K,) is active, int64."""
    groups = active.features[::group_size] // group_size
    return torch.bincount(groups, minlength=active.n_features // group_size)


def _of_group_positions(positions: Tensor, codes: Tensor, group_size: int) -> Active:
    """From ascending positions of groups in the flattened (n, K)."""
    members = torch.arange(group_size, device=codes.device)
    return Active.of_flat((positions[:, None] * group_size + members).flatten(), *codes.shape)
