"""Adaptive refit of a fit that did not settle.

Version 1 of the paper names an adaptive refit; the released code holds no rule for it. The three steps here are ours:
continue the fit, start again from the next seed, and drop the 5 % of directions of least variance.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from unweave.methods.ica.contrasts import CONTRASTS
from unweave.methods.ica.convergence import Verdict, judge
from unweave.methods.ica.fixed_point import Run, initial_rotation, iterate
from unweave.methods.ica.settings import Settings
from unweave.methods.ica.whitening import WhitenedRows

KEPT_WHEN_REDUCED = 0.95


@dataclass(frozen=True)
class Attempt:
    """One fit and the verdict on it."""

    step: str
    """first, continue, reseed or reduce"""
    seed: int
    run: Run
    verdict: Verdict

    @property
    def max_lim(self) -> float:
        """Largest LIM of the last iteration."""
        return self.run.history["lim_max"][-1]

    @property
    def p95_lim(self) -> float:
        """95th percentile of LIM of the last iteration."""
        return self.run.history["lim_p95"][-1]

    def record(self) -> dict[str, Any]:
        """Return what the manifest keeps of it."""
        return {
            "step": self.step,
            "seed": self.seed,
            "n_components": self.run.rotation.shape[0],
            "iterations": self.run.iterations,
            "max_lim": self.max_lim,
            "p95_lim": self.p95_lim,
            "converged": self.verdict.converged,
            "accepted": self.verdict.accepted,
            "reason": self.verdict.reason,
        }


def attempts(rows: WhitenedRows, settings: Settings, seed: int, device: torch.device) -> list[Attempt]:
    """Fit once and, while the last fit is rejected, take up to `settings.refits` steps of refit."""
    made: list[Attempt] = []

    def attempt(step: str, seed: int, start: Run, iterations: int) -> None:
        run = iterate(
            partial(rows.blocks, start.rotation.shape[0]),
            start,
            CONTRASTS[settings.contrast],
            iterations=iterations,
            tolerance=settings.tolerance,
            label=f"{step}, {start.rotation.shape[0]} components, seed {seed}",
        )
        verdict = judge(run.history["lim_max"][-1], run.history["lim_p95"][-1], settings)
        made.append(Attempt(step, seed, run, verdict))

    def fresh(q: int, seed: int) -> Run:
        return Run(initial_rotation(q, seed, device))

    q = rows.n_components
    attempt("first", seed, fresh(q, seed), settings.iterations)
    for step in ("continue", "reseed", "reduce")[: settings.refits]:
        if made[-1].verdict.accepted:
            break
        if step == "continue":
            attempt(step, seed, made[-1].run, settings.refit_iterations)
        elif step == "reseed":
            attempt(step, seed + 1, fresh(q, seed + 1), settings.iterations)
        else:
            attempt(step, seed, fresh(max(1, int(KEPT_WHEN_REDUCED * q)), seed), settings.iterations)
    return made


def chosen(made: list[Attempt]) -> Attempt:
    """Return the accepted attempt, or the one that reached the largest contrast.

    LIM does not rank rejected attempts: on activations it levels off and fluctuates while the contrast still rises.
    """
    return made[-1] if made[-1].verdict.accepted else max(made, key=lambda attempt: attempt.run.history["contrast"][-1])
