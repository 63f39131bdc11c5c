"""Nuclear norms of the blocks of an encoder and a decoder, with their gradients, from r x r matrices alone.

Shapes: K groups, block size r, d dimensions. Blocks E, D are (K, r, d): row j of E_k reads the j-th code of group k and
row j of D_k writes it, so that the map of a group is D_k^T E_k (d, d), of rank r at most.

With Gram matrices E E^T = L_E L_E^T and D D^T = L_D L_D^T and C = L_D^T L_E, the singular values of the map are those
of C (r, r); with U V^T the polar factor of C, the gradients of their sum are L_D U V^T L_E^{-1} E and
L_E V U^T L_D^{-1} D. Where D D^T = E E^T these are E and D themselves: weight decay. Everything of size r is float64. A
ridge of 1e-13 of its trace keeps a singular Gram matrix factorable and moves singular values by 3e-7 of the largest.
Directions in which a map has no extent get the zero of their subdifferential, or (r = 2) some other element of it.
"""

import torch
from torch import Tensor

from unweave.activations.store import is_finite
from unweave.errors import UnweaveError

RIDGE = 1e-13
"""Added to a Gram matrix, as a share of its trace."""
NEGLIGIBLE = 1e-14
"""Squared singular values below this share of the largest are rounding errors."""
CHUNK_ELEMENTS = 160_000
"""Of a block of groups in float64 that stays in a core's cache."""


def product_nuclear(encoder: Tensor, decoder: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Nuclear norms (K,) of the maps D_k^T E_k, float64, and the gradients (K, r, d) of their sum.

    Raises
    ------
    UnweaveError
        if a block is not finite.
    """
    values = encoder.new_empty(len(encoder), dtype=torch.float64)
    to_encoder, to_decoder = torch.empty_like(encoder), torch.empty_like(decoder)
    for part in _chunks(encoder):
        E, D = encoder[part].double(), decoder[part].double()
        L_E, L_D = _root(E), _root(D)
        values[part], polar = nuclear_and_polar(L_D.mT @ L_E)
        to_encoder[part] = _coefficients(L_D, polar, L_E) @ E
        to_decoder[part] = _coefficients(L_E, polar.mT, L_D) @ D
    return values, to_encoder, to_decoder


def decoder_nuclear(decoder: Tensor) -> tuple[Tensor, Tensor]:
    """Nuclear norms (K,) of the decoder blocks D_k, float64, and the gradient (K, r, d) of their sum.

    With unit rows a norm lies between sqrt(r) (collinear rows) and r (orthogonal rows).

    Raises
    ------
    UnweaveError
        if a block is not finite.
    """
    values = decoder.new_empty(len(decoder), dtype=torch.float64)
    gradient = torch.empty_like(decoder)
    for part in _chunks(decoder):
        D = decoder[part].double()
        root = _root(D)
        values[part], polar = nuclear_and_polar(root)
        gradient[part] = torch.linalg.solve_triangular(root, polar, upper=False, left=False) @ D
    return values, gradient


def map_singular_values(encoder: Tensor, decoder: Tensor) -> Tensor:
    """Singular values (K, r) of the maps D_k^T E_k, float64, in descending order."""
    return torch.cat(
        [
            torch.linalg.svdvals(_root(decoder[part].double()).mT @ _root(encoder[part].double()))
            for part in _chunks(encoder)
        ]
    )


def nuclear_and_polar(C: Tensor) -> tuple[Tensor, Tensor]:
    """Nuclear norms (...) and polar factors U V^T (..., r, r) of matrices C = U S V^T (..., r, r) in float64.

    r = 2 has a closed form: s1 + s2 = sqrt(||C||_F^2 + 2 |det C|) and U V^T = (C + sign(det C) cof C) / (s1 + s2).

    Raises
    ------
    UnweaveError
        if a matrix is not finite.
    """
    if not is_finite(C):
        raise UnweaveError(
            "nuclear norm: the encoder or decoder of a group is not finite: lower learning_rate or penalty_weight"
        )
    r = C.shape[-1]
    if r == 1:
        return C.abs()[..., 0, 0], C.sign()
    if r == 2:
        (a, b), (c, d) = C[..., 0, :].unbind(-1), C[..., 1, :].unbind(-1)
        determinant = a * d - b * c
        value = (C.square().sum((-2, -1)) + 2 * determinant.abs()).sqrt()
        cofactors = torch.stack([d, -c, -b, a], dim=-1).view_as(C)
        sign = determinant.sign()[..., None, None]
        return value, (C + sign * cofactors) / value.clamp_min(torch.finfo(C.dtype).tiny)[..., None, None]
    squares, V = torch.linalg.eigh(C.mT @ C)
    counts = squares > NEGLIGIBLE * squares[..., -1:]
    singular = squares.clamp_min(0).sqrt()
    inverse = torch.where(counts, singular, 1.0).reciprocal() * counts
    return singular.sum(-1), C @ ((V * inverse[..., None, :]) @ V.mT)


def gram(blocks: Tensor) -> Tensor:
    """Gram matrices (K, r, r), float64, of the rows of blocks (K, r, d)."""
    return torch.cat([wide @ wide.mT for wide in (blocks[part].double() for part in _chunks(blocks))])


def _root(wide: Tensor) -> Tensor:
    """Cholesky factors (K, r, r) of the Gram matrices of blocks (K, r, d) in float64."""
    G = wide @ wide.mT
    ridge = RIDGE * G.diagonal(dim1=-2, dim2=-1).sum(-1) + torch.finfo(G.dtype).tiny
    G.diagonal(dim1=-2, dim2=-1).add_(ridge[:, None])
    factor: Tensor = torch.linalg.cholesky_ex(G).L
    return factor


def _coefficients(one: Tensor, polar: Tensor, other: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(other, polar, upper=False, left=False)
    return one @ solved


def _chunks(blocks: Tensor) -> list[slice]:
    K, r, d = blocks.shape
    size = max(1, CHUNK_ELEMENTS // (r * d)) if blocks.device.type == "cpu" else K
    return [slice(start, start + size) for start in range(0, K, size)]
