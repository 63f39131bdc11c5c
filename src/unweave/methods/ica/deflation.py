"""FastICA by deflation: one component after the other, each orthogonal to those found before (Hyvarinen 1999)."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from unweave.methods.ica.contrasts import Contrast
from unweave.methods.ica.convergence import movement, summary
from unweave.methods.ica.run import Keep, Run, keep_nothing
from unweave.progress import meter


def component_step(blocks: Iterable[Tensor], row: Tensor, found: Tensor, contrast: Contrast) -> tuple[Tensor, Tensor]:
    """Return the next unit row (q,), orthogonal to the rows `found` (i, q), and the mean contrast (1,) of this one."""
    product, derivative, value = torch.zeros_like(row), row.new_zeros(1), row.new_zeros(1)
    n = 0
    for z in blocks:
        p = (z @ row.to(z.dtype))[:, None]
        block_value, block_derivative = contrast.evaluate(p, torch.empty_like(p))
        product += (p.T @ z)[0]
        derivative += block_derivative
        value += block_value
        n += z.shape[0]
    new = product / n - derivative / n * row
    new -= found.T @ (found @ new)
    return new / new.norm(), value / n


def deflate(
    blocks: Callable[[], Iterable[Tensor]],
    start: Run,
    contrast: Contrast,
    *,
    iterations: int,
    tolerance: float | None,
    title: str,
    keep: Keep = keep_nothing,
) -> Run:
    """Find the components in turn, each from its row of the start rotation, in at most `iterations` sweeps each.

    Each component adds one point to the curves: its `sweeps`, and LIM and contrast over the components found so far.
    """
    q = len(start.rotation)
    run = start if start.memory else replace(start, memory={"lim": start.rotation.new_zeros(q)})
    with meter(title, q, len(run.history.get("sweeps", [])), unit="components") as advance:
        for i in range(len(run.history.get("sweeps", [])), q):
            rotation, lims = run.rotation.clone(), run.memory["lim"].clone()
            sweeps = 0
            while sweeps < iterations:
                sweeps += 1
                new, value = component_step(blocks(), rotation[i], rotation[:i], contrast)
                lims[i] = movement(new[None], rotation[i][None])[0]
                rotation[i] = new
                if tolerance is not None and lims[i] < tolerance:
                    break
            size = float((value - contrast.gaussian_mean).abs())
            mean = ((run.last("contrast") or 0.0) * i + size) / (i + 1)
            run = run.advanced(rotation, {**summary(lims[: i + 1]), "contrast": mean, "sweeps": sweeps})
            run = replace(run, memory={"lim": lims})
            keep(run)
            advance(1, f"LIM {lims[i]:.1e}, contrast {size:.5f}")
    settled = tolerance is not None and bool(run.memory["lim"].max() < tolerance)
    return replace(run, stopped_by="tolerance" if settled else "iterations")
