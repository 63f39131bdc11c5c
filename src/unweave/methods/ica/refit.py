"""Adaptive refit of a fit that did not settle.

Version 1 of the paper names an adaptive refit; the released code holds no rule for it. The three steps here are ours:
continue the fit, start again from the next seed, and drop the 5 % of directions of least variance.
"""

from dataclasses import dataclass
from typing import Any

from unweave.methods.ica.convergence import Verdict, judge
from unweave.methods.ica.run import Run
from unweave.methods.ica.solver import Solver

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
    def max_lim(self) -> float | None:
        """Largest LIM of the last iteration; None without iterations."""
        return self.run.last("lim_max")

    @property
    def p95_lim(self) -> float | None:
        """95th percentile of LIM of the last iteration; None without iterations."""
        return self.run.last("lim_p95")

    def record(self) -> dict[str, Any]:
        """Return what the manifest keeps of it."""
        return {
            "step": self.step,
            "seed": self.seed,
            "n_components": self.run.rotation.shape[0],
            "iterations": self.run.iterations,
            "stopped_by": self.run.stopped_by,
            "max_lim": self.max_lim,
            "p95_lim": self.p95_lim,
            "converged": self.verdict.converged,
            "accepted": self.verdict.accepted,
            "reason": self.verdict.reason,
        }


def attempts(solver: Solver, seed: int) -> list[Attempt]:
    """Fit once and, while the last fit is rejected, take up to `settings.refits` steps of refit."""
    settings = solver.settings
    made: list[Attempt] = []

    def attempt(step: str, seed: int, start: Run, iterations: int) -> None:
        run = solver.solve(f"seed {seed}, {step}", start, iterations, seed)
        made.append(Attempt(step, seed, run, judge(run.last("lim_max"), run.last("lim_p95"), settings)))

    q = solver.n_components
    attempt("first", seed, solver.fresh(q, seed), settings.iterations)
    for step in ("continue", "reseed", "reduce")[: settings.refits]:
        if made[-1].verdict.accepted:
            break
        if step == "continue":
            attempt(step, seed, made[-1].run, settings.refit_iterations)
        elif step == "reseed":
            attempt(step, seed + 1, solver.fresh(q, seed + 1), settings.iterations)
        else:
            reduced = max(1, int(KEPT_WHEN_REDUCED * q))
            attempt(step, seed, solver.fresh(reduced, seed), settings.iterations)
    return made


def chosen(made: list[Attempt]) -> Attempt:
    """Return the accepted attempt, or the one that reached the largest contrast.

    LIM does not rank rejected attempts: on activations it levels off and fluctuates while the contrast still rises.
    """
    return made[-1] if made[-1].verdict.accepted else max(made, key=lambda attempt: attempt.run.history["contrast"][-1])
