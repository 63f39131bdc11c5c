"""The published iteration: ridge regression, winner-take-all, multiplicative update (Ding, Li & Jordan 2010).

Ties, the absolute ridge by an explicit inverse and the constant in the denominator are the authors'. The k x k systems
and all sums over tokens are float64 here, and the error comes from the moments instead of a dense reconstruction.
"""

import torch
from torch import Tensor

from unweave.methods.snmf.features import winner_take_all
from unweave.methods.snmf.moments import Moments, Update, projection

RIDGE = 1e-6
DENOMINATOR = 1e-6


def features(moments: Moments, s: int) -> Tensor:
    """Z^T = (Y Y^T + 1e-6 I)^-1 Y A^T (k, d), cut to its winners without fitting them again."""
    gram = moments.gram_kk
    inverse = torch.linalg.inv(gram + RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    return winner_take_all(inverse @ moments.products_kd, s)


def coefficient_update(features_kd: Tensor) -> Update:
    """Y <- Y sqrt((B+ + Q- Y) / (B- + Q+ Y + 1e-6)) with B = Z^T A, Q = Z^T Z and M+- = (|M| +- M) / 2.

    Zeros stay zeros: a feature that has died never comes back.
    """
    project = projection(features_kd)
    gram_kk = (features_kd @ features_kd.T).float()
    positive, negative = gram_kk.clamp_min(0), (-gram_kk).clamp_min(0)

    def update(x_db: Tensor, y_kb: Tensor) -> None:
        target = project(x_db)
        denominator = (positive @ y_kb).sub_(target.clamp_max(0)).add_(DENOMINATOR)
        numerator = (negative @ y_kb).add_(target.clamp_min_(0))
        y_kb.mul_(numerator.div_(denominator).sqrt_())

    return update
