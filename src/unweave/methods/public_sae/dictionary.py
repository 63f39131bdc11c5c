"""The published SAE as a dictionary: a sparse autoencoder with the normalisations that are only met in public ones."""

from torch import Tensor
from typing_extensions import override

from unweave.activations.preprocessing import NORM_FLOOR, row_normalised
from unweave.methods.sae.dictionary import SparseAutoencoder


class PublicSAE(SparseAutoencoder):
    """codes = gate(...) * code_scale of a row that was scaled to unit norm, lost its mean, or was standardised.

    Tensors: those of a sparse autoencoder, whose `W_dec` need not have unit rows here, and `code_scale` (F,). It is
    applied after the gate, because a topk gate compares codes as their publisher scaled them.
    """

    form = "public_sae.dictionary.PublicSAE"
    normalisations = ("none", "layer_norm", "row_norm", "row_mean")

    @override
    def encode(self, x: Tensor) -> Tensor:
        match self.traits.normalisation:
            case "row_norm":
                x = row_normalised(x)
            case "row_mean":
                x = x - x.mean(dim=1, keepdim=True)
        codes: Tensor = super().encode(x) * self.tensors["code_scale"]
        return codes

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        x = super().decode(codes, like)
        if like is not None:
            match self.traits.normalisation:
                case "row_norm":
                    x = x * like.norm(dim=1, keepdim=True).clamp_min(NORM_FLOOR)
                case "row_mean":
                    x = x + like.mean(dim=1, keepdim=True)
        return x

    @override
    def row_scales(self, x: Tensor) -> Tensor | None:
        if self.traits.normalisation == "row_norm":
            norms: Tensor = x.norm(dim=1, keepdim=True)
            return norms.clamp_min(NORM_FLOOR)
        return super().row_scales(x)
