"""A search for a rotation while it is under way, and the runs of a fit as its checkpoint keeps them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from unweave.methods.checkpoint import Checkpoint
from unweave.methods.ica.convergence import History


@dataclass(frozen=True)
class Run:
    """A rotation U (q, q) in float64, the curves that led to it, and what the next iteration needs besides."""

    rotation: Tensor
    history: History = field(default_factory=dict)
    """`lim_max`, `lim_p95`, `lim_median`, `lim_mean` of each iteration, and `contrast`: the mean over components of
    |E G(s) - E G(gaussian)| before it. Deflation has one point for each component, and the number of its `sweeps`."""
    stopped_by: str | None = None
    """What ended it: tolerance, p95, plateau, line_search or iterations; None while it is under way."""
    memory: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON-able; `passes` counts sweeps over all rows where a solver counts them."""

    @property
    def iterations(self) -> int:
        """Number of iterations since the initial rotation."""
        if "sweeps" in self.history:
            return int(sum(self.history["sweeps"]))
        return len(self.history.get("lim_max", []))

    def last(self, curve: str) -> float | None:
        """Last value of a curve, or None before there is one."""
        values = self.history.get(curve)
        return values[-1] if values else None

    def advanced(self, rotation: Tensor, values: dict[str, float]) -> "Run":
        """Return the run one iteration on, with a point added to each curve."""
        history = {name: [*curve] for name, curve in self.history.items()}
        for name, value in values.items():
            history.setdefault(name, []).append(value)
        return replace(self, rotation=rotation, history=history)


Keep = Callable[[Run], None]
"""What a solver calls after each iteration, with all that it needs to go on from there."""


def keep_nothing(run: Run) -> None:
    """For runs that need not survive a kill."""


class Journal:
    """All runs of one fit by name, those that are finished and the one under way, in one checkpoint."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._checkpoint = checkpoint
        self._runs: dict[str, Run] = {}
        tensors, facts = checkpoint.load() or ({}, {})
        for name, fact in facts.items():
            prefix = f"{name}:"
            own = {
                key.removeprefix(prefix): value.to(device) for key, value in tensors.items() if key.startswith(prefix)
            }
            self._runs[name] = Run(own.pop("rotation"), memory=own, **fact)

    def run(self, name: str, start: Run, solve: Callable[[Run, Keep], Run]) -> Run:
        """Return the result of `solve` from `start`, or from where it was interrupted; at once if it was finished."""
        known = self._runs.get(name, start)
        if known.stopped_by is None or known is start:
            known = solve(known, lambda run: self._keep(name, run))
            self._runs[name] = replace(known, memory={})
        return known

    def _keep(self, name: str, run: Run) -> None:
        if not self._checkpoint.due:
            return
        self._runs[name] = run
        tensors: dict[str, Tensor] = {}
        facts: dict[str, Any] = {}
        for each, kept in self._runs.items():
            facts[each] = {"history": kept.history, "stopped_by": kept.stopped_by, "facts": kept.facts}
            tensors |= {f"{each}:{key}": value for key, value in {"rotation": kept.rotation, **kept.memory}.items()}
        self._checkpoint.save(tensors, facts)
