"""Dictionaries whose codes are an affine function of the (preprocessed) activation: ICA, PCA, random directions."""

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.geometric_median import median_normalised
from unweave.activations.preprocessing import row_normalised
from unweave.methods.dictionary import Dictionary, Normalisation, Traits


class LinearDictionary(Dictionary):
    """codes = (x - center) @ readers.T and x = codes @ atoms + center (ICA Lens).

    Tensors: `center` (d,), `readers` (F, d), `atoms` (F, d), all float32; and `median` (d,), the geometric median that
    is subtracted before rows are scaled to unit norm, where that is done.
    """

    form = "linear.LinearDictionary"
    normalisations = ("none", "row_norm", "median_norm")

    @classmethod
    def build(
        cls, center: Tensor, readers: Tensor, atoms: Tensor, *, row_norm: bool = False, median: Tensor | None = None
    ) -> "LinearDictionary":
        """From a center (d,), readers (F, d), atoms (F, d) and perhaps a median (d,) of any float type."""
        tensors = {"center": center, "readers": readers, "atoms": atoms}
        normalisation: Normalisation = "row_norm" if row_norm else "none"
        if median is not None:
            tensors["median"], normalisation = median, "median_norm"
        traits = Traits(signed=True, linear=True, firing="dense", normalisation=normalisation)
        return cls({name: tensor.to(torch.float32) for name, tensor in tensors.items()}, traits)

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["atoms"]

    @property
    @override
    def readers(self) -> Tensor:
        return self.tensors["readers"]

    def prepared(self, x: Tensor) -> Tensor:
        """Rows x (n, d) as the readers see them, before the center is subtracted."""
        if self.traits.normalisation == "median_norm":
            return median_normalised(x, self.tensors["median"])
        return row_normalised(x) if self.traits.row_norm else x

    @override
    def encode(self, x: Tensor) -> Tensor:
        return (self.prepared(x) - self.tensors["center"]) @ self.readers.T

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        x = codes @ self.atoms + self.tensors["center"]
        if like is None or self.traits.normalisation == "none":
            return x
        origin = self.tensors["median"] if self.traits.normalisation == "median_norm" else torch.zeros_like(like[0])
        restored: Tensor = row_normalised(x) * (like - origin).norm(dim=1, keepdim=True) + origin
        return restored
