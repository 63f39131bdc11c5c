"""Updates of the features Z^T (k, d) for given coefficients, all in float64 from the moments."""

import math

import torch
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.methods.snmf.moments import Moments, error_by_neuron

RELATIVE_RIDGE = 1e-6
"""Of the mean diagonal of Y Y^T."""
LARGER_RIDGES = (1e-6, 1e-5, 1e-4, 1e-3)
"""Of the largest diagonal entry of Y Y^T, where that one is not enough against its rounding errors."""
BATCH_ENTRIES = 4_000_000
"""Entries of the small systems that are solved at once."""


def kept_neurons(sparsity: float, d: int) -> int:
    """Return s = max(1, ceil(p d)), the neurons of a feature."""
    return max(1, math.ceil(sparsity * d))


def winner_take_all(features_kd: Tensor, s: int) -> Tensor:
    """Zero all but the largest |z| of each feature; of entries tied with the s-th largest all stay (as published)."""
    size = features_kd.abs()
    threshold = size.topk(s, dim=1).values[:, -1:]
    return features_kd * (size >= threshold)


def strongest(features_kd: Tensor, s: int) -> Tensor:
    """Boolean mask of exactly the s largest |z| along the last dimension; of ties the lowest indices."""
    size = features_kd.abs()
    threshold = size.topk(s, dim=-1).values[..., -1:]
    above, tied = size > threshold, size == threshold
    return above | (tied & (tied.cumsum(dim=-1) <= s - above.sum(dim=-1, keepdim=True)))


def ridge_solution(moments: Moments) -> Tensor:
    """(Y Y^T + lambda I)^-1 Y A^T by Cholesky, with lambda relative to the mean diagonal."""
    factor = _factored(_ridged(moments.gram_kk), moments.gram_kk)
    solution: Tensor = torch.cholesky_solve(moments.products_kd, factor)
    return solution


def _factored(systems: Tensor, gram_kk: Tensor) -> Tensor:
    """Cholesky factors of parts (..., m, m) of a ridged Y Y^T.

    Where one feature has far larger coefficients than all others, rounding errors of float32 products exceed the ridge
    and a part can be indefinite; it gets a larger ridge.

    Raises
    ------
    UnweaveError
        if the coefficients are not finite or all zero.
    """
    factors: Tensor
    factors, failed = torch.linalg.cholesky_ex(systems)
    for ridge in LARGER_RIDGES:
        if not failed.any():
            return factors
        systems = systems.clone()
        lift = ridge * gram_kk.diagonal().amax()
        systems.diagonal(dim1=-2, dim2=-1).add_((failed > 0)[..., None] * lift)
        factors, failed = torch.linalg.cholesky_ex(systems)
    if failed.any():
        raise UnweaveError("semi-NMF: the coefficients are not finite or all zero: set initialisation to kmeans")
    return factors


def _ridged(gram_kk: Tensor) -> Tensor:
    ridge = RELATIVE_RIDGE * gram_kk.diagonal().mean()
    return gram_kk + ridge * torch.eye(len(gram_kk), dtype=gram_kk.dtype, device=gram_kk.device)


def least_squares_on(support_kd: Tensor, moments: Moments) -> Tensor:
    """Ridge regression of each neuron on the features that keep it.

    Neurons are solved together with those that have a similar number of features, padded to the next power of two.
    """
    gram = _ridged(moments.gram_kk)
    k = len(support_kd)
    counts = support_kd.sum(dim=0)
    order_dk = support_kd.T.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    features = torch.zeros_like(moments.products_kd)
    below, width = 0, 1
    while below < k:
        width = min(width, k)
        neurons = ((counts > below) & (counts <= width)).nonzero()[:, 0]
        for i in torch.split(neurons, max(1, BATCH_ENTRIES // width**2)):
            chosen = order_dk[i, :width]
            real = torch.arange(width, device=chosen.device) < counts[i, None]
            system = gram[chosen[:, :, None], chosen[:, None, :]] * (real[:, :, None] & real[:, None, :])
            system.diagonal(dim1=1, dim2=2).add_(~real)
            right = torch.where(real, moments.products_kd[chosen, i[:, None]], 0)
            solved = torch.cholesky_solve(right[:, :, None], _factored(system, moments.gram_kk))[:, :, 0]
            # Padding repeats no index of a neuron: `chosen` is a part of a permutation, and its rest stays zero.
            features[chosen, i[:, None]] = torch.where(real, solved, 0)
        below, width = width, 2 * width
    return features


def sparse_descent(features_kd: Tensor, moments: Moments, s: int) -> Tensor:
    """Replace one feature after another by the best s-sparse one given the others: a sweep that never raises the error.

    With all others fixed the error is ||r - z||^2 (Y Y^T)_jj up to a constant, where r is the feature's unconstrained
    optimum: the same weight for all neurons. So the s largest |r| with their values are the exact minimiser.
    """
    features = features_kd.clone()
    weights = moments.gram_kk.diagonal().tolist()
    for j, weight in enumerate(weights):
        if weight <= 0:
            features[j] = 0
            continue
        optimum = features[j] + (moments.products_kd[j] - moments.gram_kk[j] @ features) / weight
        features[j] = optimum * strongest(optimum, s)
    return features


def lower_by_neuron(candidate_kd: Tensor, features_kd: Tensor, moments: Moments) -> Tensor:
    """Take each neuron from the candidate where that lowers its error: a ridge alone does not promise it."""
    better = error_by_neuron(candidate_kd, moments) <= error_by_neuron(features_kd, moments)
    return torch.where(better, candidate_kd, features_kd)
