"""A trained binary autoencoder as a dictionary."""

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.bae.step_function import codes as codes_of
from unweave.methods.dictionary import Dictionary, Traits

EPSILON = 1e-6
"""Added inside the logarithm of a strength, as in the released code."""


class BinaryAutoencoder(Dictionary):
    """codes = 1[x @ encoder.T + encoder_bias > 0] and x = codes @ atoms + decoder_bias.

    With more than one bit (option `bits`), an active code is the sigmoid of its pre-activation, rounded to 2^bits - 1
    steps. Tensors, all float32: `encoder` (F, d), `encoder_bias` (F,), `atoms` (F, d), `decoder_bias` (d,), and `rates`
    (F,), the share of the fitted rows in which each channel is on.
    """

    form = "bae.dictionary.BinaryAutoencoder"

    @classmethod
    def build(cls, tensors: dict[str, Tensor], bits: int) -> "BinaryAutoencoder":
        """From its tensors and the bits of an active code."""
        return cls(tensors, Traits(signed=False, linear=False, binary=bits == 1), {"bits": bits})

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["atoms"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        pre_activations = torch.addmm(self.tensors["encoder_bias"], x, self.tensors["encoder"].T)
        return codes_of(pre_activations, self.options["bits"])

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        return torch.addmm(self.tensors["decoder_bias"], codes, self.atoms)

    @override
    def strengths(self, codes: Tensor) -> Tensor:
        """Burstiness (n, F): log2(|bit - rate| + 1e-6), never above 0 (Section 5.2).

        A channel is strong on a token where its bit is the rarer one: on where it is mostly off, or off where it is
        mostly on.
        """
        rates = self.tensors["rates"]
        return torch.where(codes > 0, (1 - rates + EPSILON).log2(), (rates + EPSILON).log2())
