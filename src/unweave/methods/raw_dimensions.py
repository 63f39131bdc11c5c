"""The coordinates of the site itself as features: neurons, or dimensions of the residual stream."""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Dictionary, Fit, Traits


class Settings(Strict):
    """Settings of the raw coordinates."""

    center: Literal["zero", "mean"] = Field(
        default="zero",
        description="what codes are measured from: zero, so that they are the activations, or the mean row",
    )


class RawDimensions(Dictionary):
    """codes = x - center and x = codes + center: the identity is never multiplied by.

    Tensors: `center` (d,), float32.
    """

    form = "raw_dimensions.RawDimensions"

    @property
    @override
    def atoms(self) -> Tensor:
        center = self.tensors["center"]
        return torch.eye(len(center), dtype=center.dtype, device=center.device)

    @property
    @override
    def readers(self) -> Tensor:
        return self.atoms

    @property
    @override
    def n_features(self) -> int:
        return len(self.tensors["center"])

    @override
    def encode(self, x: Tensor) -> Tensor:
        return x - self.tensors["center"]

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        return codes + self.tensors["center"]


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,  # noqa: ARG001
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """All d coordinates. Nothing is drawn and, about zero, nothing is read: `seed` has no effect.

    Codes are signed and dense whatever the site: a neuron behind a GELU is rarely exactly 0 and takes both signs.

    Raises
    ------
    UnweaveError
        if the mean is to be read and a row is not finite.
    """
    if settings.center == "mean":
        center = torch.from_numpy(activations.statistics(row_norm=False).mean).to(device, torch.float32)
        if not center.isfinite().all():
            raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider store_dtype")
    else:
        center = torch.zeros(activations.d, device=device)
    return Fit(RawDimensions({"center": center}, Traits(signed=True, linear=True, firing="dense")))
