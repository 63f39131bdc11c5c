"""The symmetric FastICA fixed point on whitened rows (Hyvarinen 1999; ICA Lens).

One iteration reads every row once and makes two matrix products with it: 4 n q^2 operations. A block's products run in
the precision of the rows and are summed in float64. The rotation is kept, and made orthogonal, in float64, because in
float32 the inverse square root of an ill-conditioned matrix leaves errors of 1e-3.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unweave.methods.ica.contrasts import Contrast, column_sums
from unweave.methods.ica.convergence import Stop, movement, spread, summary
from unweave.methods.ica.run import Keep, Run, keep_nothing
from unweave.progress import meter

Step = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From a rotation (q, q) the next one, and the mean contrast (q,) of the components of the given one."""


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
    next_rotation: Step, start: Run, contrast: Contrast, stop: Stop, *, title: str, keep: Keep = keep_nothing
) -> Run:
    """Go on from `start` until a rule of `stop` is met.

    Finite rows keep the iteration finite: a whitened coordinate of n rows is never larger than sqrt(n).
    """
    run = replace(start, stopped_by=stop.reached({}, 0) if not start.iterations else None)
    with meter(title, stop.iterations, run.iterations, unit="iterations") as advance:
        while run.stopped_by is None:
            new, contrasts = next_rotation(run.rotation)
            facts = summary(movement(new, run.rotation))
            facts |= spread((contrasts - contrast.gaussian_mean).abs())
            run = run.advanced(new, facts)
            run = replace(run, stopped_by=stop.reached(run.history, run.iterations))
            keep(run)
            advance(1, f"LIM max {facts['lim_max']:.1e} p95 {facts['lim_p95']:.1e}, contrast {facts['contrast']:.5f}")
    return run


@dataclass(frozen=True)
class ComponentMoments:
    """Averages over the rows of the components s = U z, all float64."""

    contrast: Tensor
    """(q,) mean of G(s_i)"""
    slope: Tensor
    """(q,) mean of g(s_i) s_i: the change of the mean contrast per relative change of scale"""
    skewness: Tensor
    """(q,) mean of s_i^3, which is the skewness since components have zero mean and unit variance"""
    covariance: Tensor
    """(q, q) mean of s_i s_j: the identity as far as the whitening is exact"""
    largest: float
    """Largest |s_i|"""


def component_moments(blocks: Iterable[Tensor], rotation: Tensor, contrast: Contrast) -> ComponentMoments:
    """Moments of the components in one pass over the whitened rows."""
    contrasts, slopes, cubes = (torch.zeros_like(rotation[0]) for _ in range(3))
    products = torch.zeros_like(rotation)
    n, largest = 0, 0.0
    for z in blocks:
        p = z @ rotation.T.to(z.dtype)
        largest = max(largest, *map(abs, torch.stack(torch.aminmax(p)).tolist()))
        products += p.T @ p
        cubes += column_sums(p**3)
        projections = p.clone()
        contrasts += contrast.evaluate(p, torch.empty_like(p))[0]
        slopes += column_sums(projections.mul_(p))
        n += z.shape[0]
    return ComponentMoments(contrasts / n, slopes / n, cubes / n, products / n, largest)
