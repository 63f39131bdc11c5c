"""A fitted Subspace-Aware SAE."""

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.sasa.gates import above_threshold, top_s
from unweave.methods.sasa.layer_norm import prepared, standardised


class SubspaceDictionary(Dictionary):
    """Signed codes in groups of r, of which only those of a token's strongest groups are not zero.

    codes = gate((prepared(x) - decoder_bias) @ encoder.T + encoder_bias) and prepared(x) = codes @ decoder +
    decoder_bias, where `prepared` standardises tokens if the trait says so (arXiv 2606.06333). Codes of a group are
    coordinates in a subspace: only their span means something, not the single axes.

    Tensors: `encoder` and `decoder` (F, d), `encoder_bias` (F,), `decoder_bias` (d,) and, with a batch gate,
    `threshold` (1,), all float32. Options: `active_groups`, the s of a token; null where the threshold decides.
    """

    form = "sasa.dictionary.SubspaceDictionary"
    normalisations = ("none", "layer_norm")

    @classmethod
    def build(
        cls, tensors: dict[str, Tensor], *, group_size: int, active_groups: int | None, layer_norm: bool
    ) -> "SubspaceDictionary":
        """From the tensors above."""
        traits = Traits(
            signed=True,
            linear=False,
            group_size=group_size,
            firing="nonzero",
            normalisation="layer_norm" if layer_norm else "none",
        )
        return cls(tensors, traits, {"active_groups": active_groups})

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["decoder"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        tensors = self.tensors
        rows = prepared(x, layer_norm=self.traits.normalisation == "layer_norm")
        codes = torch.addmm(tensors["encoder_bias"], rows.x - tensors["decoder_bias"], tensors["encoder"].T)
        size, s = self.traits.group_size, self.options["active_groups"]
        active = above_threshold(codes, size, tensors["threshold"]) if s is None else top_s(codes, size, s)
        return active.scattered(active.gathered(codes))

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        y = codes @ self.atoms + self.tensors["decoder_bias"]
        if like is None or self.traits.normalisation != "layer_norm":
            return y
        return prepared(like, layer_norm=True).restored(y)

    @override
    def row_scales(self, x: Tensor) -> Tensor | None:
        if self.traits.normalisation == "layer_norm":
            return standardised(x).scale
        return super().row_scales(x)
