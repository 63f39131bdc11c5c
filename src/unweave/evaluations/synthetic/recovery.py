"""How much of what was planted a dictionary has found.

Shapes: N planted features, each with an orthonormal basis of its subspace; U units of the dictionary, which are single
directions or groups of adjacent ones; F directions of the dictionary.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RANK_TOLERANCE = 1e-5
"""Singular values below this share of a group's largest belong to no direction of its span."""
CARRIED = 0.9
"""Share of a feature's energy that the directions it is split into carry together (SASA's synthetic experiments)."""


class Overlaps(NamedTuple):
    """Of each unit with each feature, both (U, N) float64 in [0, 1]."""

    similarity: Tensor
    """Root mean square cosine of the principal angles: |cosine| where unit and feature are single directions."""
    capture: Tensor
    """Share of the feature's subspace that lies in the span of the unit."""


def overlaps(directions: Tensor, group_size: int, bases: Tensor, feature_of_row: Tensor) -> Overlaps:
    """Overlaps of units of `group_size` adjacent `directions` (F, d) with features of `bases` (rows, d).

    `feature_of_row` (rows,) is the feature that each row of `bases` belongs to. Lengths do not matter; directions of
    zeros span nothing.
    """
    units = directions.double().reshape(-1, group_size, directions.shape[1])
    _, values, spans = torch.linalg.svd(units, full_matrices=False)
    spanned = values > RANK_TOLERANCE * values[:, :1].clamp_min(torch.finfo(torch.float64).tiny)
    spans = spans * spanned[:, :, None]
    squares = (spans @ bases.double().T).square().sum(dim=1)
    widths = feature_of_row.bincount()
    shared = torch.zeros(len(units), len(widths), dtype=torch.float64, device=squares.device)
    shared.index_add_(1, feature_of_row, squares)
    common = torch.minimum(spanned.sum(dim=1)[:, None], widths).clamp_min(1)
    return Overlaps((shared / common).clamp(0, 1).sqrt(), (shared / widths).clamp(0, 1))


def linear_readers(bases: Tensor, feature_of_row: Tensor, covariance: Tensor) -> Tensor:
    """Orthonormal bases (rows, d) of the directions that read each feature best, in float64.

    The coordinates of independent features in x of `covariance` (d, d) are best told, of all linear functions of x, by
    its inverse times the directions in which they are written. They are other directions than those unless all
    features are orthogonal: what reads one feature must not see the others.
    """
    readers = torch.linalg.solve(covariance, bases.double().T)
    features = feature_of_row.bincount().tolist()
    return torch.cat([torch.linalg.qr(part)[0].T for part in torch.split(readers, features, dim=1)])


def one_to_one(similarity: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Units and features of the one-to-one matching of largest total `similarity` (U, N), in the order of units."""
    from scipy.optimize import linear_sum_assignment

    units, features = linear_sum_assignment(similarity.cpu().numpy(), maximize=True)
    return units, features


def uniqueness(similarity: Tensor) -> float:
    """Distinct features that are the most similar one of some unit, divided by the number of units (SAELens)."""
    return len(torch.unique(similarity.argmax(dim=1))) / len(similarity)


class Detection(NamedTuple):
    """How well the firing of each of m units tells the firing of one feature, each (m,) float64."""

    precision: Tensor
    recall: Tensor
    f1: Tensor
    accuracy: Tensor


class Firings:
    """Joint counts of firings of U units and N features on n tokens, and the energy of F codes by feature."""

    def __init__(self, units: int, features: int, codes: int) -> None:
        self.n = 0
        self.of_units = torch.zeros(units, dtype=torch.float64)
        self.of_features = torch.zeros(features, dtype=torch.float64)
        self.joint = torch.zeros(units, features, dtype=torch.float64)
        self.energy = torch.zeros(features, codes, dtype=torch.float64)
        """Sum of squared codes over the tokens on which each feature fires."""

    def add(self, unit_fires: Tensor, feature_fires: Tensor, codes: Tensor) -> None:
        """Take in tokens: bool (b, U), bool (b, N) and float32 (b, F)."""
        units, features = unit_fires.float(), feature_fires.float()
        self.n += len(units)
        self.of_units += units.sum(dim=0).cpu()
        self.of_features += features.sum(dim=0).cpu()
        self.joint += (units.T @ features).cpu()
        self.energy += (features.T @ codes.square()).cpu()

    def detection(self, units: Tensor, features: Tensor) -> Detection:
        """Of each pair of `units` (m,) and `features` (m,); 0 where a ratio has no cases, as where a unit is dead."""
        hits = self.joint[units, features]
        fired, present = self.of_units[units], self.of_features[features]
        precision = hits / fired.clamp_min(1)
        recall = hits / present.clamp_min(1)
        f1 = 2 * hits / (fired + present).clamp_min(1)
        accuracy = (self.n + 2 * hits - fired - present) / self.n
        return Detection(precision, recall, f1, accuracy)


def carriers(firings: Firings, atoms: Tensor, bases: Tensor, feature_of_row: Tensor, group_size: int) -> Tensor:
    """How many units together carry nine tenths of what is written into each feature's subspace when it fires, (N,).

    Code j contributes E[code_j^2 | feature fires] * ||projection of atom j on the subspace||^2; a group contributes the
    sum of its codes. `group_size` 1 counts the directions of a dictionary of groups. 0 where nothing is written.
    """
    projections = (bases.double() @ atoms.double().T).square()
    written = torch.zeros_like(firings.energy).index_add_(0, feature_of_row, projections)
    contributions = (firings.energy * written).reshape(len(written), -1, group_size).sum(dim=2)
    totals = contributions.sum(dim=1, keepdim=True)
    running = contributions.sort(dim=1, descending=True).values.cumsum(dim=1)
    # The first sum that reaches the share counts too; rounding must not ask for one more.
    needed = (running < CARRIED * totals * (1 - 1e-9)).sum(dim=1) + 1
    return torch.where(totals[:, 0] > 0, needed, 0)
