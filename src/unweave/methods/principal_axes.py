"""Eigenvectors of a covariance, with one order and one sign rule for every method that needs them."""

import torch
from torch import Tensor

from unweave.activations.source import Statistics
from unweave.errors import UnweaveError


def principal_axes(statistics: Statistics, device: torch.device) -> tuple[Tensor, Tensor]:
    """Eigenvalues (d,) in descending order and unit eigenvectors as rows (d, d), both float64.

    The first coordinate of each eigenvector is made non-negative, so that the same covariance gives the same axes.

    Raises
    ------
    UnweaveError
        if the covariance is not finite.
    """
    covariance = torch.from_numpy(statistics.covariance).to(device)
    if not covariance.isfinite().all():
        raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider store_dtype")
    ascending, columns = torch.linalg.eigh(covariance)
    axes = columns.flip(1).T
    signs = torch.where(axes[:, :1] < 0, -1.0, 1.0)
    return ascending.flip(0), axes * signs
