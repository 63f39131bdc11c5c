"""A dictionary of features that add up with non-negative coefficients."""

import torch
from torch import Tensor
from typing_extensions import override

from unweave.methods.dictionary import Dictionary, Traits
from unweave.methods.snmf.nonnegative_least_squares import nonnegative_least_squares

BLOCK_TOKENS = 1024
TRAITS = Traits(signed=False, linear=False, firing="nonzero")


class NonNegativeDictionary(Dictionary):
    """x = codes @ atoms with codes >= 0. Tensors: `atoms` (F, d), the features Z^T.

    Encoding solves ||x - codes @ atoms||^2 over codes >= 0 for each row, with exact zeros. It is no linear map: the
    coefficients that the fit ended with are not kept, since new tokens have none.
    """

    form = "snmf.dictionary.NonNegativeDictionary"

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["atoms"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        atoms = self.atoms.double()
        norms = atoms.norm(dim=1, keepdim=True)
        unit_kd = torch.where(norms > 0, atoms / norms, 0)
        gram_kk = unit_kd @ unit_kd.T
        codes = torch.empty(len(x), len(atoms), device=x.device)
        for block, rows in zip(torch.split(codes, BLOCK_TOKENS), torch.split(x, BLOCK_TOKENS), strict=True):
            solution_kb = nonnegative_least_squares(gram_kk, unit_kd @ rows.double().T)
            block.copy_(torch.where(norms > 0, solution_kb / norms, 0).T)
        return codes

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        return codes @ self.atoms
