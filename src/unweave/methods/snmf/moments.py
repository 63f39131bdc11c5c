"""What the update of the features needs to know of tokens and coefficients, and the error that follows from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.snmf.neurons import NeuronBlocks

SPARSE_SHARE = 1 / 8
"""Share of features that are not zero up to which a processor is faster with them as a sparse matrix."""

Update = Callable[[Tensor, Tensor], None]
"""Changes the coefficients y (k, b) of the tokens x (d, b) in place."""


@dataclass(frozen=True)
class Moments:
    """Sums over all tokens, in float64; the products of one block are float32."""

    products_kd: Tensor
    """Y A^T"""
    gram_kk: Tensor
    """Y Y^T"""


def pass_over(
    neurons: NeuronBlocks, coefficients: Iterable[Tensor], update: Update | None, *, in_place: bool = True
) -> tuple[list[Tensor], Moments]:
    """Update all coefficients, block by block, and return them with their moments: one pass over the activations."""
    updated = []
    products: Tensor | None = None
    for x_db, given_kb in zip(neurons, coefficients, strict=True):
        y_kb = given_kb if in_place else given_kb.clone()
        if update is not None:
            update(x_db, y_kb)
        if products is None:
            k = len(y_kb)
            products = torch.zeros(k, neurons.d, dtype=torch.float64, device=y_kb.device)
            gram = torch.zeros(k, k, dtype=torch.float64, device=y_kb.device)
        products += y_kb @ x_db.T
        gram += y_kb @ y_kb.T
        updated.append(y_kb)
    assert products is not None
    return updated, Moments(products, gram)


def squared_error(squared_norm: float, features_kd: Tensor, moments: Moments) -> float:
    """Return ||A - Z Y||_F^2 = ||A||^2 - 2 <Z^T, Y A^T> + <Z^T Z, Y Y^T>, without the reconstruction.

    Equal to the dense residual up to about 1e-7 ||A||^2.
    """
    return squared_norm + float(error_by_neuron(features_kd, moments).sum())


def error_by_neuron(features_kd: Tensor, moments: Moments) -> Tensor:
    """Squared error of each neuron (d,), less the neuron's own sum of squares: it depends on no other neuron."""
    return (features_kd * (moments.gram_kk @ features_kd - 2 * moments.products_kd)).sum(dim=0)


def projection(features_kd: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the map of tokens x (d, b) to Z^T x (k, b) in float32."""
    z_kd = features_kd.float()
    if z_kd.device.type == "cpu" and float((z_kd != 0).sum()) <= SPARSE_SHARE * z_kd.numel():
        sparse = z_kd.to_sparse().coalesce()
        return lambda x_db: torch.sparse.mm(sparse, x_db)
    return lambda x_db: z_kd @ x_db
