"""How far the components moved in an iteration, what ends a fit, and whether it counts as converged (ICA Lens)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from unweave.methods.ica.settings import Settings

PLATEAU_ITERATIONS = 5
PERCENTILES = (10, 50, 90)
"""Of the contrast over components, which the curves keep."""

History = dict[str, list[float]]


def movement(new: Tensor, old: Tensor) -> Tensor:
    """LIM (q,): | |<new_i, old_i>| - 1 | of the rows of two rotations (q, q)."""
    return ((new * old).sum(dim=1).abs() - 1).abs()


def summary(lim: Tensor) -> dict[str, float]:
    """Largest value, 95th percentile (linear interpolation), median and mean of LIM over the components."""
    p95, median = torch.quantile(lim, lim.new_tensor([0.95, 0.5])).tolist()
    return {"lim_max": float(lim.max()), "lim_p95": p95, "lim_median": median, "lim_mean": float(lim.mean())}


def spread(deviations: Tensor) -> dict[str, float]:
    """Mean contrast, and its percentiles over the components, from their distances (q,) to the Gaussian's contrast."""
    levels = torch.tensor(PERCENTILES, dtype=deviations.dtype, device=deviations.device) / 100
    found = torch.quantile(deviations, levels).tolist()
    return {"contrast": float(deviations.mean())} | {
        f"contrast_p{level:02d}": value for level, value in zip(PERCENTILES, found, strict=True)
    }


@dataclass(frozen=True)
class Stop:
    """What ends a run: a number of iterations, counted from its first one, or one of the rules below if it is set."""

    iterations: int
    tolerance: float | None = None
    """Largest LIM is below this."""
    p95: float | None = None
    """95th percentile of LIM is below this."""
    plateau: float | None = None
    """Relative change of the mean contrast over 5 iterations is below this; or its rise on held-out rows."""

    @classmethod
    def after(cls, iterations: int, settings: Settings) -> "Stop":
        """Rules of `settings`, with another number of iterations."""
        return cls(iterations, settings.tolerance, settings.stop_p95, settings.plateau)

    def reached(self, history: History, iterations: int) -> str | None:
        """Name of the rule that ends a run with these curves after so many iterations, or None."""
        if iterations:
            if self.tolerance is not None and history["lim_max"][-1] < self.tolerance:
                return "tolerance"
            if self.p95 is not None and history["lim_p95"][-1] < self.p95:
                return "p95"
            if self.plateau is not None and self._is_flat(history):
                return "plateau"
        return "iterations" if iterations >= self.iterations else None

    def _is_flat(self, history: History) -> bool:
        assert self.plateau is not None
        held_out = history.get("held_out_contrast")
        curve = held_out or history["contrast"]
        if len(curve) <= PLATEAU_ITERATIONS:
            return False
        before = curve[-1 - PLATEAU_ITERATIONS]
        change = curve[-1] - before
        return (change if held_out else abs(change)) < self.plateau * before


@dataclass(frozen=True)
class Verdict:
    """Whether a fit settled."""

    converged: bool | None
    """The largest LIM fell below the tolerance; None where no tolerance was set."""
    accepted: bool
    reason: str


def judge(max_lim: float | None, p95_lim: float | None, settings: Settings) -> Verdict:
    """Verdict on the last iteration of a fit.

    Version 1 of the paper accepts a layer whose 95th percentile has settled, because a few slow components dominate
    the largest value. The authors' code calls a fit that converges exactly in its last allowed iteration not
    converged, since it compares iteration counts; here only the movement counts.
    """
    if settings.tolerance is None or max_lim is None or p95_lim is None:
        return Verdict(None, True, "no tolerance set")
    if max_lim < settings.tolerance:
        return Verdict(True, True, "largest LIM below the tolerance")
    if settings.accept_p95 is not None and p95_lim <= settings.accept_p95:
        return Verdict(False, True, "95th percentile of LIM within accept_p95")
    return Verdict(False, False, "LIM above the limits")
