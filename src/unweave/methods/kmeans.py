"""k-means: centroids as a dictionary, and the Lloyd iterations that semi-NMF can start from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot
from typing_extensions import override

from unweave.activations.source import Activations
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Dictionary, Fit, Traits
from unweave.progress import meter

BLOCK_ROWS = 1024

Blocks = Callable[[], Iterable[Tensor]]
"""A pass over the rows: blocks (b, d) on one device, in the same order each time."""


class Settings(Strict):
    """Settings of k-means."""

    n_features: int = Field(default=100, ge=1, description="clusters, k")
    iterations: int = Field(
        default=100, ge=1, description="Lloyd iterations, at most: it ends when no row changes its cluster"
    )
    memory_gb: float = Field(
        default=4.0,
        ge=0,
        description="activations are kept in memory up to this size and read anew in every iteration beyond it",
    )


class Centroids(Dictionary):
    """A row is its nearest centroid: the code of that one is 1 and all others are 0. Tensors: `atoms` (F, d)."""

    form = "kmeans.Centroids"

    @property
    @override
    def atoms(self) -> Tensor:
        return self.tensors["atoms"]

    @override
    def encode(self, x: Tensor) -> Tensor:
        codes = [one_hot(nearest(block, self.atoms)[0], self.n_features) for block in torch.split(x, 8 * BLOCK_ROWS)]
        return torch.cat(codes).to(torch.float32)

    @override
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        return codes @ self.atoms


@dataclass(frozen=True)
class Clusters:
    """What Lloyd iterations end in."""

    centroids: Tensor
    """(k, d) float32"""
    assignment: Tensor
    """(n,) int64: nearest centroid of each row, of two equally near ones the first"""
    distances: list[float]
    """Mean squared distance of the rows from their centroids, before each update."""
    converged: bool
    """No row changed its cluster in the last iteration."""
    reseeded: int
    """How often an empty cluster was moved onto a random row."""


def nearest(x: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
    """Index (b,) of the nearest centroid of each row of x (b, d), and the squared distance less the row's ||x||^2."""
    scores = torch.addmm((centroids * centroids).sum(dim=1), x, centroids.T, alpha=-2)
    lowest, index = scores.min(dim=1)
    return index, lowest


def _sums(x: Tensor, index: Tensor, k: int) -> Tensor:
    """Sum (k, d) of the rows of each cluster."""
    if x.device.type == "cpu":
        return x.new_zeros(k, x.shape[1]).index_add_(0, index, x)
    return one_hot(index, k).to(x).T @ x  # scattered additions have no fixed order on a GPU


def lloyd(blocks: Blocks, activations: Activations, k: int, iterations: int, seed: int, title: str) -> Clusters:
    """k-means from k random rows, at most `iterations` times; `blocks` are the rows of `activations` on the device.

    A cluster that became empty is moved onto a random row.

    Raises
    ------
    UnweaveError
        if there are fewer rows than clusters, or rows are not finite.
    """
    n = activations.n
    if k > n:
        raise UnweaveError(f"k-means of {n} tokens into {k} clusters: set n_features to {n} at most, or harvest more")
    generator = torch.Generator().manual_seed(seed)

    def rows(indices: Tensor) -> Tensor:
        return torch.cat(list(activations.slices((i, i + 1) for i in indices.tolist())))

    centroids = rows(torch.randperm(n, generator=generator)[:k])
    distances: list[float] = []
    previous: Tensor | None = None
    reseeded = 0
    with meter(title, iterations, unit="iterations") as advance:
        for _ in range(iterations):
            assignment, sums, squares = _assigned(blocks(), centroids)
            if not squares < torch.inf:
                raise UnweaveError("the activations hold NaN or infinite values: harvest them again in a wider dtype")
            distances.append(squares / n)
            converged = previous is not None and torch.equal(assignment, previous)
            if converged:
                break
            sizes = torch.bincount(assignment, minlength=k)
            empty = (sizes == 0).nonzero()[:, 0]
            centroids = (sums / sizes.clamp_min(1)[:, None]).float()
            centroids[empty] = rows(torch.randint(n, (len(empty),), generator=generator)) if len(empty) else 0
            reseeded += len(empty)
            previous = assignment
            advance(1, f"squared distance {distances[-1]:.4g}")
    if not converged:
        assignment, _, _ = _assigned(blocks(), centroids)
    return Clusters(centroids, assignment, distances, converged, reseeded)


def _assigned(blocks: Iterable[Tensor], centroids: Tensor) -> tuple[Tensor, Tensor, float]:
    """Nearest centroids (n,), sums (k, d) of the clusters in float64 and the sum of squared distances, on the CPU."""
    k = len(centroids)
    assignment = []
    sums = torch.zeros(centroids.shape, dtype=torch.float64)
    squares = 0.0
    for x in blocks:
        index, less = nearest(x, centroids.to(x.device))
        assignment.append(index.cpu())
        sums += _sums(x, index, k).cpu()
        squares += float(torch.linalg.vector_norm(x, dtype=torch.float64) ** 2 + less.sum(dtype=torch.float64))
    return torch.cat(assignment), sums, squares


def _blocks(activations: Activations, kept: Tensor | None, device: torch.device) -> Iterable[Tensor]:
    for read in activations.blocks() if kept is None else [kept]:
        for block in torch.split(read, BLOCK_ROWS):
            yield block.to(device)


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,  # noqa: ARG001
) -> Fit:
    """Centroids after Lloyd's iterations. Diagnostics: `converged`, `reseeded` and the `sizes` of the clusters.

    Raises
    ------
    UnweaveError
        as `lloyd`.
    """
    resident = 4e-9 * activations.n * activations.d <= settings.memory_gb
    blocks = partial(_blocks, activations, activations.rows() if resident else None, device)
    clusters = lloyd(blocks, activations, settings.n_features, settings.iterations, seed, "k-means")
    dictionary = Centroids({"atoms": clusters.centroids.to(device)}, Traits(signed=False, linear=False, binary=True))
    return Fit(
        dictionary,
        diagnostics={
            "converged": clusters.converged,
            "reseeded": clusters.reseeded,
            "sizes": torch.bincount(clusters.assignment, minlength=settings.n_features).tolist(),
        },
        history={"squared_distance": clusters.distances},
    )
