"""A trained sparse autoencoder or transcoder: unit atoms, one encoder, one of five gates."""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.dictionary import Dictionary, Normalisation
from unweave.methods.sasa.layer_norm import standardised

STRENGTH_FLOOR = 1e-6


class SparseAutoencoder(Dictionary):
    """codes = gate((x - center) @ W_enc.T + b_enc), and x = codes @ W_dec + b_dec.

    Tensors, all float32: `W_enc` (F, d), `center` (d,), `b_enc` (F,), `W_dec` (F, d') with rows of unit norm, `b_dec`
    (d',); `threshold` (F,) for a threshold gate; `r_mag` and `b_mag` (F,) for a gated one; `strength_mean` and
    `strength_std` (F,) where strengths are standardised.

    Option `gate`: `topk` and `signed_topk` keep the `k` largest (magnitudes) of a row, `relu` what is positive,
    `threshold` what is above its threshold, `gated` max(0, exp(r_mag) (x - center) @ W_enc.T + b_mag) where the
    pre-activation is positive.
    """

    form = "sae.dictionary.SparseAutoencoder"
    normalisations: ClassVar[tuple[Normalisation, ...]] = ("none", "layer_norm")

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["W_dec"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        rows = standardised(x).x if self.traits.normalisation == "layer_norm" else x
        linear = (rows - self.tensors["center"]) @ self.tensors["W_enc"].T
        pre = linear + self.tensors["b_enc"]
        gate = self.options["gate"]
        if gate == "relu":
            return pre.relu()
        if gate == "threshold":
            return pre * (pre > self.tensors["threshold"])
        if gate == "gated":
            magnitude = linear * self.tensors["r_mag"].exp() + self.tensors["b_mag"]
            return magnitude.relu() * (pre > 0)
        ranking = pre.abs() if gate == "signed_topk" else pre
        chosen = ranking.topk(self.options["k"], dim=1).indices
        values = pre.gather(1, chosen)
        return torch.zeros_like(pre).scatter(1, chosen, values if gate == "signed_topk" else values.relu())

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        x = codes @ self.atoms + self.tensors["b_dec"]
        if like is not None and self.traits.normalisation == "layer_norm":
            x = standardised(like).restored(x)
        return x

    @override
    def row_scales(self, x: Tensor) -> Tensor | None:
        if self.traits.normalisation == "layer_norm":
            return standardised(x).scale
        return super().row_scales(x)

    @override
    def strengths(self, codes: Tensor) -> Tensor:
        """|code|, or (code - mean) / (std + 1e-6) of each latent over the fitted rows."""
        if "strength_mean" not in self.tensors:
            return super().strengths(codes)
        return (codes - self.tensors["strength_mean"]) / (self.tensors["strength_std"] + STRENGTH_FLOOR)
