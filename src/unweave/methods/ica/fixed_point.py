"""The symmetric FastICA fixed point on whitened rows (Hyvarinen 1999; ICA Lens).

One iteration reads every row once and makes two matrix products with it: 4 n q^2 operations. A block's products run in
the precision of the rows and are summed in float64. The rotation is kept, and made orthogonal, in float64, because in
float32 the inverse square root of an ill-conditioned matrix leaves errors of 1e-3.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from unweave.methods.ica.contrasts import Contrast, column_sums
from unweave.methods.ica.convergence import movement, summary

LOG_EVERY = 10

logger = logging.getLogger(__name__)

Blocks = Callable[[], Iterable[Tensor]]
"""A pass over the whitened rows: blocks (b, q), any number of times."""


@dataclass(frozen=True)
class Run:
    """A rotation U (q, q) in float64 and the curves of the iterations that led to it."""

    rotation: Tensor
    history: dict[str, list[float]] = field(default_factory=dict)
    """`lim_max`, `lim_p95`, `lim_median`, `lim_mean` of each iteration, and `contrast`: the mean over components of
    |E G(s) - E G(gaussian)| before it."""

    @property
    def iterations(self) -> int:
        """Number of iterations since the initial rotation."""
        return len(self.history.get("lim_max", []))


def symmetric_decorrelation(matrix: Tensor) -> Tensor:
    """(M M^T)^(-1/2) M in float64: the orthogonal matrix nearest to M (q, q)."""
    m = matrix.double()
    eigenvalues, vectors = torch.linalg.eigh(m @ m.T)
    floor = torch.finfo(torch.float64).eps * eigenvalues[-1]
    orthogonal: Tensor = (vectors / eigenvalues.clamp_min(floor).sqrt()) @ (vectors.T @ m)
    return orthogonal


def initial_rotation(q: int, seed: int, device: torch.device) -> Tensor:
    """Random orthogonal (q, q), drawn on the CPU so that every device starts from the same one."""
    drawn = torch.randn(q, q, generator=torch.Generator().manual_seed(seed))
    return symmetric_decorrelation(drawn.to(device))


def step(blocks: Iterable[Tensor], rotation: Tensor, contrast: Contrast) -> tuple[Tensor, Tensor]:
    """Return the next rotation (q, q), and the mean contrast (q,) of the components of the given one, in float64."""
    derivatives, contrasts = torch.zeros_like(rotation[0]), torch.zeros_like(rotation[0])
    products = torch.zeros_like(rotation)
    n = 0
    for z in blocks:
        p = z @ rotation.T.to(z.dtype)
        block_contrast, block_derivative = contrast.evaluate(p, torch.empty_like(p))
        products += p.T @ z
        derivatives += block_derivative
        contrasts += block_contrast
        n += z.shape[0]
    update = products / n - (derivatives / n)[:, None] * rotation
    return symmetric_decorrelation(update), contrasts / n


def iterate(
    blocks: Blocks, start: Run, contrast: Contrast, *, iterations: int, tolerance: float | None, label: str
) -> Run:
    """Go on from `start` for `iterations`, or until the largest LIM is below `tolerance`.

    Finite rows keep the iteration finite: a whitened coordinate of n rows is never larger than sqrt(n).
    """
    rotation = start.rotation
    history = {name: list(values) for name, values in start.history.items()}
    began = time.perf_counter()
    for i in range(1, iterations + 1):
        new, contrasts = step(blocks(), rotation, contrast)
        facts = summary(movement(new, rotation))
        facts["contrast"] = float((contrasts - contrast.gaussian_mean).abs().mean())
        rotation = new
        for name, value in facts.items():
            history.setdefault(name, []).append(value)
        done = tolerance is not None and facts["lim_max"] < tolerance
        if done or i % LOG_EVERY == 0 or i == iterations:
            logger.info(
                "ICA (%s): iteration %d of at most %d, LIM max %.1e p95 %.1e, contrast %.5f, %.2f s per iteration",
                label, i, iterations, facts["lim_max"], facts["lim_p95"], facts["contrast"],
                (time.perf_counter() - began) / i,
            )  # fmt: skip
        if done:
            break
    return Run(rotation, history)


@dataclass(frozen=True)
class ComponentMoments:
    """Averages over the rows of the components s = U z, all float64."""

    contrast: Tensor
    """(q,) mean of G(s_i)"""
    skewness: Tensor
    """(q,) mean of s_i^3, which is the skewness since components have zero mean and unit variance"""
    covariance: Tensor
    """(q, q) mean of s_i s_j: the identity as far as the whitening is exact"""


def component_moments(blocks: Iterable[Tensor], rotation: Tensor, contrast: Contrast) -> ComponentMoments:
    """Moments of the components in one pass over the whitened rows."""
    contrasts, cubes = torch.zeros_like(rotation[0]), torch.zeros_like(rotation[0])
    products = torch.zeros_like(rotation)
    n = 0
    for z in blocks:
        p = z @ rotation.T.to(z.dtype)
        products += p.T @ p
        cubes += column_sums(p**3)
        contrasts += contrast.evaluate(p, torch.empty_like(p))[0]
        n += z.shape[0]
    return ComponentMoments(contrasts / n, cubes / n, products / n)
