"""How far the components moved in an iteration, and whether a fit counts as converged (ICA Lens, version 1)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.ica.settings import Settings


def movement(new: Tensor, old: Tensor) -> Tensor:
    """LIM (q,): | |<new_i, old_i>| - 1 | of the rows of two rotations (q, q)."""
    return ((new * old).sum(dim=1).abs() - 1).abs()


def summary(lim: Tensor) -> dict[str, float]:
    """Largest value, 95th percentile (linear interpolation), median and mean of LIM over the components."""
    p95, median = torch.quantile(lim, lim.new_tensor([0.95, 0.5])).tolist()
    return {"lim_max": float(lim.max()), "lim_p95": p95, "lim_median": median, "lim_mean": float(lim.mean())}


@dataclass(frozen=True)
class Verdict:
    """Whether a fit settled."""

    converged: bool | None
    """The largest LIM fell below the tolerance; None where no tolerance was set."""
    accepted: bool
    reason: str


def judge(max_lim: float, p95_lim: float, settings: Settings) -> Verdict:
    """Verdict on the last iteration of a fit.

    Version 1 of the paper accepts a layer whose 95th percentile has settled, because a few slow components dominate
    the largest value. The authors' code calls a fit that converges exactly in its last allowed iteration not
    converged, since it compares iteration counts; here only the movement counts.
    """
    if settings.tolerance is None:
        return Verdict(None, True, "all iterations run, no tolerance set")
    if max_lim < settings.tolerance:
        return Verdict(True, True, "largest LIM below the tolerance")
    if settings.accept_p95 is not None and p95_lim <= settings.accept_p95:
        return Verdict(False, True, "95th percentile of LIM within accept_p95")
    return Verdict(False, False, "LIM above the limits")
