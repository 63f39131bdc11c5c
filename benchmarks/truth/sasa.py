"""SASA where the answer is known: the claims of its paper (arXiv 2606.06333) on features of known dimension.

Covering bounds and l1 risks are statements about scalar dictionaries that need no training; the rest is about what our
objective descends to.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, comb, pi, tan

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betainc
from torch import Tensor

from benchmarks.truth.check import Check
from unweave.activations.batches import Batch
from unweave.methods.checkpoint import NOTHING_KEPT
from unweave.methods.sasa.nuclear import decoder_nuclear, map_singular_values, product_nuclear
from unweave.methods.sasa.objective import SubspaceObjective, initial_parameters
from unweave.methods.sasa.settings import Settings
from unweave.methods.training import train

CPU = torch.device("cpu")
PAPER = "arXiv 2606.06333"
SEEDS = (0, 1, 2)
D, STEPS, BATCH = 64, 1500, 512


def checks() -> Iterator[Check]:
    """Return every check, the quick ones first."""
    yield from covering()
    yield from l1_risk()
    yield nuclear_against_svd()
    yield from closed_form()
    yield from manifolds()


# --- how many lines a sphere needs ------------------------------------------------------------------------------------

BOUNDS = {
    # (dimensions m, atoms k of one code): smallest number of atoms for an error of .5, .3, .1
    (2, 1): (3, 6, 16),
    (3, 1): (8, 22, 200),
    (4, 1): (18, 85, 2350),
    (6, 1): (86, 1173, 293_471),
    (3, 2): (3, 4, 5),
    (4, 2): (4, 6, 15),
    (6, 2): (7, 17, 142),
    (8, 2): (12, 53, 1415),
    (6, 4): (5, 6, 8),
    (8, 4): (6, 8, 19),
}


def share_near_subspace(m: int, k: int, error: float) -> float:
    """Share of the unit sphere of R^m within `error` of a k-dimensional subspace."""
    return float(betainc((m - k) / 2, k / 2, error**2))


def fewest_atoms(m: int, k: int, error: float) -> int:
    """Smallest N for which the tubes around all choices of k out of N atoms may cover the sphere."""
    share = share_near_subspace(m, k, error)
    if k == 1:
        return ceil(1 / share - 1e-9)
    return next(n for n in range(k, 10**6) if comb(n, k) * share >= 1 - 1e-9)


def covering() -> Iterator[Check]:
    """Return the lower bounds on dictionaries of lines, and the share of the sphere that they rest on."""
    wrong = [
        (m, k, error)
        for (m, k), bounds in BOUNDS.items()
        for error, bound in zip((0.5, 0.3, 0.1), bounds, strict=True)
        if fewest_atoms(m, k, error) != bound
    ]
    yield Check(
        name="lower bounds on atoms that cover a feature of 2 to 8 dimensions: entries that differ from the table",
        value=len(wrong),
        highest=0,
        source=f"{PAPER}, covering number",
    )
    generator = np.random.default_rng(0)
    deviations = []
    for m, k in BOUNDS:
        z = generator.standard_normal((400_000, m))
        distance = np.linalg.norm(z[:, k:], axis=1) / np.linalg.norm(z, axis=1)
        deviations += [abs(np.mean(distance <= error) - share_near_subspace(m, k, error)) for error in (0.5, 0.3, 0.1)]
    yield Check(
        name="share of a sphere near a subspace: formula against 400,000 random directions",
        value=max(deviations),
        highest=3e-3,
        source="regularised incomplete beta function",
    )
    steep = []
    for m, k in BOUNDS:
        small, smaller = (share_near_subspace(m, k, error) for error in (1e-4, 1e-5))
        steep.append(abs(np.log10(small / smaller) / k - (m - k) / k))
    yield Check(
        name="slope of log atoms against log 1/error: deviation from (m - k) / k",
        value=max(steep),
        highest=1e-3,
        source=f"{PAPER}, exponential lower bound",
    )


# --- why an l1 objective splits a plane -------------------------------------------------------------------------------


def l1_risk_of(angles: NDArray[np.float64], points: int = 20_001) -> float:
    """Mean least sum of nonnegative coefficients that rebuild a point of the unit circle from rays at `angles`."""
    middles = (np.arange(points) + 0.5) * 2 * pi / points
    z = np.stack([np.cos(middles), np.sin(middles)])
    rays = np.stack([np.cos(angles), np.sin(angles)])
    best = np.full(points, np.inf)
    for i in range(len(angles)):
        for j in range(i):
            pair = rays[:, [i, j]]
            if abs(np.linalg.det(pair)) > 1e-9:
                coefficients = np.linalg.solve(pair, z)
                possible = (coefficients > -1e-9).all(axis=0)
                best = np.where(possible, np.minimum(best, coefficients.sum(axis=0)), best)
    return float(best.mean())


def l1_risk() -> Iterator[Check]:
    """Return the l1 risk of the true basis, of one with a surplus ray, and of N rays."""
    cross = np.array([0, pi / 2, pi, 3 * pi / 2])

    def surplus(angle: float) -> float:
        """Two axes, and the first of them once more, turned by `angle`."""
        return l1_risk_of(np.append(cross, angle))

    expected = [(surplus(0.0), 4 / pi), (surplus(0.1), 1.25883), (surplus(pi / 4), 1.21863)]
    expected += [(l1_risk_of(2 * pi * np.arange(n) / n), n / pi * tan(pi / n)) for n in (4, 6, 8, 16, 32)]
    yield Check(
        name="l1 risk of a plane with a surplus ray at 0, .1 and pi/4, and with 4 to 32 rays: largest deviation",
        value=max(abs(found - wanted) for found, wanted in expected),
        highest=1e-3,
        source=f"{PAPER}, basis instability; R_N = N/pi tan(pi/N)",
    )
    yield Check(
        name="one-sided slope of the l1 risk at the true basis",
        value=(surplus(1e-2) - surplus(0.0)) / 1e-2,
        lowest=-1 / (2 * pi) - 2e-3,
        highest=-1 / (2 * pi) + 2e-3,
        source="-1 / (2 pi)",
    )


# --- the penalty ------------------------------------------------------------------------------------------------------


def nuclear_against_svd() -> Check:
    """Compare values on 512 blocks of six rows, half of them of rank 2."""
    generator = torch.Generator().manual_seed(0)
    E, W = (torch.randn(512, 6, 768, generator=generator) for _ in range(2))
    for blocks in (E, W):
        blocks[::2] = torch.randn(256, 6, 2, generator=generator) @ torch.randn(256, 2, 768, generator=generator)
    whole = torch.linalg.svdvals(W[:64].double().mT @ E[:64].double()).sum(1)
    product = (product_nuclear(E[:64], W[:64])[0] / whole - 1).abs().max()
    alone = (decoder_nuclear(W)[0] / torch.linalg.svdvals(W.double()).sum(1) - 1).abs().max()
    return Check(
        name="nuclear norms of 6 x 768 blocks, half of them of rank 2: relative deviation from an SVD",
        value=float(torch.maximum(product, alone)),
        highest=1e-5,
        source="torch.linalg.svdvals in float64",
    )


def closed_form() -> Iterator[Check]:
    """Descend the population risk of one group and one isotropic slice of 3 dimensions, r = 5, lambda = .2."""
    d, m, r, weight = 20, 3, 5, 0.2
    generator = torch.Generator().manual_seed(0)
    V = torch.linalg.qr(torch.randn(d, m, generator=generator, dtype=torch.float64)).Q
    covariance = V @ V.T / m
    W = 0.3 * torch.randn(1, r, d, generator=generator, dtype=torch.float64)
    E = W.clone()
    for _ in range(2000):
        to_map = -2 * (torch.eye(d, dtype=torch.float64) - W.mT @ E) @ covariance
        _, to_E, to_W = product_nuclear(E, W)
        E, W = E - 0.2 * (W @ to_map + weight * to_E), W - 0.2 * (E @ to_map.mT + weight * to_W)
    shrunk = 1 - weight * m / 2
    wanted = torch.tensor([shrunk] * m + [0.0] * (r - m), dtype=torch.float64)
    yield Check(
        name="singular values of the minimiser with penalty .2: deviation from (.7, .7, .7, 0, 0)",
        value=float((map_singular_values(E, W)[0] - wanted).abs().max()),
        highest=1e-4,
        source="soft thresholding: (1 - lambda / (2 sigma^2))+",
    )
    yield Check(
        name="map of the minimiser: Frobenius distance from .7 V V^T",
        value=float((W[0].T @ E[0] - shrunk * V @ V.T).norm()),
        highest=1e-4,
        source=f"{PAPER}, global minimiser",
    )
    yield Check(
        name="factors that start balanced end balanced: largest entry of |D D^T - E E^T|",
        value=float((W @ W.mT - E @ E.mT).abs().max()),
        highest=1e-2,
        source="D D^T - E E^T is constant under gradient flow",
    )


# --- one group for one feature ----------------------------------------------------------------------------------------


def circle(n: int, generator: torch.Generator) -> Tensor:
    """Points (n, 2) of the unit circle."""
    return torch.nn.functional.normalize(torch.randn(n, 2, generator=generator))


def sphere(n: int, generator: torch.Generator) -> Tensor:
    """Points (n, 3) of the unit sphere."""
    return torch.nn.functional.normalize(torch.randn(n, 3, generator=generator))


def helix(n: int, generator: torch.Generator) -> Tensor:
    """Points (n, 3) of two turns of a helix of radius 1 and height 2."""
    height = 2 * torch.rand(n, generator=generator) - 1
    return torch.stack([torch.cos(2 * pi * height), torch.sin(2 * pi * height), height], dim=1)


@dataclass(frozen=True)
class Trained:
    """What a dictionary made of one manifold."""

    groups: int
    """That hold at least half a percent of the points."""
    singular_values: Tensor
    """(r,) of the map of the most used group."""
    predicted: Tensor
    """(r,) by soft thresholding of the manifold's second moments."""
    risk: float
    """Mean squared error plus penalty."""


def trained(
    points: Callable[[int, torch.Generator], Tensor], weight: float | None, seed: int, initial_norm: float = 0.1
) -> Trained:
    """Train on one manifold in 64 dimensions: 64 groups of 4, one of them active."""
    settings = Settings(
        tokens=STEPS * BATCH,
        batch_size=BATCH,
        learning_rate=2e-3,
        warmup_steps=0,
        decay_fraction=0.0,
        clip_norm=None,
        groups=64,
        group_size=4,
        active_groups=1,
        layer_norm=False,
        biases="none",
        auxiliary="none",
        penalty="none" if weight is None else "product",
        penalty_weight=weight,
        initial_norm=initial_norm,
    )
    generator = torch.Generator().manual_seed(100 + seed)
    dimensions = points(1, generator).shape[1]
    basis = torch.linalg.qr(torch.randn(D, dimensions, generator=generator)).Q

    def batches(step: int) -> Iterator[Batch]:
        for _ in range(step, STEPS):
            x = points(BATCH, generator) @ basis.T
            yield Batch(x, x)

    objective = SubspaceObjective(initial_parameters(D, settings, seed, CPU), settings)
    train(objective, batches, settings, title="manifold", checkpoint=NOTHING_KEPT)
    x = points(6000, generator) @ basis.T
    dictionary = objective.dictionary()
    codes = dictionary.encode(x)
    shares = torch.bincount(dictionary.strengths(codes).argmax(1), minlength=64) / len(x)
    E, W = (dictionary.tensors[name].view(64, 4, D) for name in ("encoder", "decoder"))
    risk = float((x - dictionary.decode(codes)).square().sum(1).mean() + (weight or 0) * product_nuclear(E, W)[0].sum())
    moments = torch.linalg.eigvalsh((x.T @ x / len(x)).double()).flip(0)[:4]
    predicted = (1 - (weight or 0) / (2 * moments.clamp_min(1e-12))).clamp_min(0)
    groups = int((shares >= 0.005).sum())
    return Trained(groups, map_singular_values(E, W)[shares.argmax()], predicted, risk)


def manifolds() -> Iterator[Check]:
    """Return how many groups a feature of 2 or 3 dimensions takes, with and without the penalty."""
    for name, points in {"circle": circle, "sphere": sphere, "helix": helix}.items():
        runs = [trained(points, 1e-2, seed) for seed in SEEDS]
        yield Check(
            name=f"{name} in 64 dimensions, product penalty .01: groups used",
            value=max(run.groups for run in runs),
            highest=1,
            seeds=len(SEEDS),
            source=f"{PAPER}, one group is the global minimiser",
        )
        yield Check(
            name=f"{name}: singular values of that group against soft thresholding",
            value=max(float((run.singular_values - run.predicted).abs().max()) for run in runs),
            highest=0.01,
            seeds=len(SEEDS),
            source="1 - lambda / (2 sigma_j^2)",
        )
        without = [trained(points, None, seed, initial_norm=1.0).groups for seed in SEEDS]
        yield Check(
            name=f"{name} without penalty, from rows of unit norm: groups used",
            value=max(without),
            seeds=len(SEEDS),
            note=f"recorded, not judged: {without} groups share one feature",
        )
    single = max(run.risk for run in runs)
    from_unit_rows = [trained(helix, 1e-2, seed, initial_norm=1.0) for seed in SEEDS]
    split = [run.risk for run in from_unit_rows if run.groups > 1]
    yield Check(
        name="helix from rows of unit norm: risk of ends with several groups above that of one group, smallest",
        value=min(split, default=single) - single,
        lowest=0.0,
        seeds=len(SEEDS),
        note=f"{[run.groups for run in from_unit_rows]} groups: other minima exist, but they are worse",
    )
