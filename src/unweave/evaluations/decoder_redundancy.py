"""How many atoms share a few dimensions: splitting seen in the decoder (Subspace-Aware SAE, Section 3 and Figure 2).

Atoms are clustered by angle, signs aside where codes take both (average linkage, as many clusters as make them
`cluster_size` large on average). A cluster of more than three atoms has the redundancy

    atoms of the cluster / dimensions that hold 80 % of their squared length,

with atoms of unit length and uncentred. The paper clusters spectrally or by communities of nearest neighbours; what
matters is the same clustering for all dictionaries and for the null, random directions as many as there are atoms.

A dictionary of groups has its groups as they are besides: `group_redundancy` of each group's atoms.
"""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.cluster import AgglomerativeClustering
from torch import Tensor
from torch.nn.functional import normalize

from unweave.config import Strict
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.resampled_scores import mean_score
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

LEAST_SIZE = 4
HELD = 0.8
"""Share of the squared length that the counted dimensions hold."""


class Settings(Strict):
    """Settings of decoder redundancy; it needs no text."""

    cluster_size: Annotated[int, Field(ge=2)] = Field(default=10, description="atoms of a cluster on average")
    atoms: Annotated[int, Field(ge=8)] = Field(
        default=4096, description="that are clustered at most, drawn by the seed"
    )


def clusters(atoms: Tensor, size: int, *, signed: bool) -> Integers:
    """Cluster (F,) of every atom (F, d) by angle."""
    cosines = normalize(atoms.double()) @ normalize(atoms.double()).T
    cosines = cosines.abs() if signed else cosines
    distances = torch.arccos(cosines.clamp(-1, 1)).fill_diagonal_(0).cpu().numpy()
    count = max(2, len(atoms) // size)
    model = AgglomerativeClustering(n_clusters=count, metric="precomputed", linkage="average")
    labels: Integers = model.fit_predict(distances)
    return labels


def dimensions(atoms: Tensor) -> int:
    """Fewest dimensions that hold 80 % of the squared length of unit atoms (m, d)."""
    energies = torch.linalg.svdvals(normalize(atoms.double())).square().cpu()
    shares = energies.cumsum(dim=0) / energies.sum()
    return int((shares < HELD - 1e-9).sum()) + 1


def redundancies(atoms: Tensor, labels: Integers) -> tuple[Floats, Floats]:
    """Redundancy and size of every cluster of more than three atoms (F, d)."""
    found, sizes = [], []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) >= LEAST_SIZE:
            found.append(len(members) / dimensions(atoms[torch.from_numpy(members).to(atoms.device)]))
            sizes.append(float(len(members)))
    return np.array(found), np.array(sizes)


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:  # noqa: ARG001
    """Redundancy over clusters, the share of redundant ones, and the null; of groups too, where there are any."""
    rng = np.random.default_rng(seed)
    atoms = dictionary.atoms.float()
    kept = atoms[atoms.norm(dim=1) > 0]
    if len(kept) > settings.atoms:
        kept = kept[torch.from_numpy(np.sort(rng.permutation(len(kept))[: settings.atoms])).to(kept.device)]
    null = torch.from_numpy(rng.standard_normal(tuple(kept.shape))).float()
    scores: list[Score] = []
    for label, directions in (("", kept), ("random directions", null)):
        labels = clusters(directions, settings.cluster_size, signed=dictionary.traits.signed)
        found, sizes = redundancies(directions, labels)
        if len(found) > 1:
            scores.append(mean_score("redundancy", found, seed=seed, unit="atoms per dimension", label=label))
            scores.append(mean_score("redundant_clusters", found > 1, seed=seed, label=label))
            scores.append(mean_score("cluster_size", sizes, seed=seed, unit="atoms", label=label))
    size = dictionary.traits.group_size
    if size > 1:
        groups = atoms.reshape(-1, size, atoms.shape[1])
        alive = groups[groups.norm(dim=(1, 2)) > 0]
        ratios = np.array([size / dimensions(group) for group in alive])
        scores.append(mean_score("group_redundancy", ratios, seed=seed, unit="atoms per dimension"))
    return scores
