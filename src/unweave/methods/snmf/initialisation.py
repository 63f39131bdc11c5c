"""Where the coefficients start from. The features need no start: the first iteration solves for them."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.methods.kmeans import lloyd
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf.settings import Initialisation

SMALLEST = 1e-6
"""Multiplicative updates never leave zero."""
LLOYD_ITERATIONS = 15
INDICATOR_OFFSET = 0.2
"""Ding, Li & Jordan (2010), section 3.2."""
RANK_FLOOR = 1e-7
"""Singular values below this share of the largest one are noise of float32."""


def initial_coefficients(
    initialisation: Initialisation, activations: Activations, neurons: NeuronBlocks, k: int, seed: int
) -> list[Tensor]:
    """Blocks y (k, b) of positive coefficients, the same for every size of blocks.

    Raises
    ------
    UnweaveError
        if there are fewer tokens than features, or a start from singular vectors is asked for more than there are.
    """
    if k > neurons.n:
        raise UnweaveError(
            f"semi-NMF of {neurons.n} tokens into {k} features: set n_features to {neurons.n} at most, or harvest more"
        )
    start: dict[Initialisation, Callable[[], list[Tensor]]] = {
        "random": lambda: _random(neurons, k, seed),
        "kmeans": lambda: _indicators(activations, neurons, k, seed),
        "kmeans_offset": lambda: [y.add_(INDICATOR_OFFSET) for y in _indicators(activations, neurons, k, seed)],
        "svd": lambda: _singular_vectors(activations, neurons, k, resolved=False),
        "svd_resolved": lambda: _singular_vectors(activations, neurons, k, resolved=True),
    }
    return [y.clamp_min_(SMALLEST) for y in start[initialisation]()]


def _random(neurons: NeuronBlocks, k: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Token by token, so that what a token gets does not depend on the size of the blocks.
    return [torch.rand(b, k, generator=generator).T.contiguous().to(neurons.device) for b in neurons.sizes]


def _indicators(activations: Activations, neurons: NeuronBlocks, k: int, seed: int) -> list[Tensor]:
    clusters = lloyd(neurons.rows, activations, k, LLOYD_ITERATIONS, seed, "k-means for semi-NMF")
    return [
        one_hot(index.to(neurons.device), k).T.contiguous().float()
        for index in torch.split(clusters.assignment, neurons.sizes)
    ]


def _singular_vectors(activations: Activations, neurons: NeuronBlocks, k: int, *, resolved: bool) -> list[Tensor]:
    """sqrt(S) V^T (k, n) of the k largest singular values of A, through the d x d second moments.

    The sign of a singular vector is arbitrary: unless it is `resolved`, each keeps that of the eigenvector solver,
    first coordinate of the left vector non-negative, and the cut at zero throws away about half of its mass.
    """
    if k > neurons.d:
        raise UnweaveError(
            f"semi-NMF of {k} features from the singular vectors of {neurons.d} neurons: set n_features to "
            f"{neurons.d} at most, or another initialisation"
        )
    statistics = activations.statistics(row_norm=False)
    mean = torch.from_numpy(statistics.mean)
    second_moments = (torch.from_numpy(statistics.covariance) + mean[:, None] * mean) * statistics.n
    squares, vectors = torch.linalg.eigh(second_moments.to(neurons.device))
    singular = squares.flip(0)[:k].clamp_min(0).sqrt()
    left_kd = vectors.flip(1).T[:k]
    left_kd = left_kd * torch.where(left_kd[:, :1] < 0, -1.0, 1.0)
    scale = torch.where(singular > RANK_FLOOR * singular[0], singular.rsqrt(), 0)
    projector = (left_kd * scale[:, None]).float()
    coefficients = [projector @ x_db for x_db in neurons]
    if resolved:
        squared = torch.stack(
            [
                sum(y.clamp_min(0).square().sum(dim=1, dtype=torch.float64) for y in signed)
                for signed in (coefficients, [-y for y in coefficients])
            ]
        )
        signs = torch.where(squared[0] >= squared[1], 1.0, -1.0).to(projector)[:, None]
        coefficients = [signs * y for y in coefficients]
    return coefficients
