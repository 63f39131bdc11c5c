"""Principal component analysis: the orthonormal basis of greatest variance."""

import torch
from pydantic import Field

from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.linear import LinearDictionary
from unweave.methods.principal_axes import principal_axes


class Settings(Strict):
    """Settings of PCA."""

    row_norm: bool = Field(default=False, description="scale every row to unit Euclidean norm first")


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,  # noqa: ARG001
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """All d principal components, in descending order of variance. PCA draws nothing: `seed` has no effect.

    Diagnostics: `explained_variance` and `explained_variance_ratio`, one number per component.

    Raises
    ------
    UnweaveError
        if a row is not finite, or all are equal.
    """
    statistics = activations.statistics(row_norm=settings.row_norm)
    variances, axes = principal_axes(statistics, device)
    variances = variances.clamp_min(0)
    if not variances.any():
        raise UnweaveError(f"all {statistics.n} rows of activations are equal: there is nothing to decompose")
    dictionary = LinearDictionary.build(
        torch.from_numpy(statistics.mean).to(device), axes, axes, row_norm=settings.row_norm
    )
    ratio = variances / variances.sum()
    return Fit(
        dictionary,
        diagnostics={"explained_variance": variances.tolist(), "explained_variance_ratio": ratio.tolist()},
    )
