"""Dictionaries whose codes are an affine function of the (preprocessed) activation: ICA, PCA, random directions."""

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.preprocessing import row_normalised
from unweave.methods.dictionary import Dictionary, Traits


class LinearDictionary(Dictionary):
    """codes = (x - center) @ readers.T and x = codes @ atoms + center (ICA Lens).

    Tensors: `center` (d,), `readers` (F, d), `atoms` (F, d), all float32.
    """

    form = "linear.LinearDictionary"

    @classmethod
    def build(cls, center: Tensor, readers: Tensor, atoms: Tensor, *, row_norm: bool) -> "LinearDictionary":
        """From a center (d,), readers (F, d) and atoms (F, d) of any float type."""
        tensors = {"center": center, "readers": readers, "atoms": atoms}
        traits = Traits(signed=True, linear=True, firing="dense", normalisation="row_norm" if row_norm else "none")
        return cls({name: tensor.to(torch.float32) for name, tensor in tensors.items()}, traits)

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["atoms"]

    @property
    @override
    def readers(self) -> Tensor:
        return self.tensors["readers"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        prepared = row_normalised(x) if self.traits.row_norm else x
        return (prepared - self.tensors["center"]) @ self.readers.T

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        x = codes @ self.atoms + self.tensors["center"]
        if like is not None and self.traits.row_norm:
            x = row_normalised(x) * like.norm(dim=1, keepdim=True)
        return x
