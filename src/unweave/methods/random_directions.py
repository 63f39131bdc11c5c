"""A random orthonormal basis: what any direction of the space gives, before anything is learned."""

import numpy as np
import torch
from pydantic import Field

from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.linear import LinearDictionary


class Settings(Strict):
    """Settings of the random basis."""

    row_norm: bool = Field(default=False, description="scale every row to unit Euclidean norm first")


def random_orthonormal(d: int, seed: int) -> torch.Tensor:
    """Float64 orthonormal rows (d, d), uniform over rotations and reflections.

    QR of a Gaussian matrix drawn on the CPU, with the signs of R's diagonal moved into Q (Mezzadri 2007).
    """
    gaussian = torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    q, r = torch.linalg.qr(gaussian)
    basis: torch.Tensor = q * r.diagonal().sign()
    return basis.T.contiguous()


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """Random orthonormal directions, as many as the width, about the mean of the rows.

    Raises
    ------
    UnweaveError
        if a row is not finite.
    """
    statistics = activations.statistics(row_norm=settings.row_norm)
    if not np.isfinite(statistics.mean).all():
        raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider store_dtype")
    basis = random_orthonormal(activations.d, seed).to(device)
    mean = torch.from_numpy(statistics.mean).to(device)
    return Fit(LinearDictionary.build(mean, basis, basis, row_norm=settings.row_norm))
