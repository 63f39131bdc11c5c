"""What is done to an activation row before a method sees it."""

from torch import Tensor

NORM_FLOOR = 1e-12


def row_normalised(x: Tensor) -> Tensor:
    """Rows of x (n, d) scaled to unit Euclidean norm; rows shorter than 1e-12 are divided by that floor instead."""
    norms: Tensor = x.norm(dim=-1, keepdim=True)
    return x / norms.clamp_min(NORM_FLOOR)
