"""L-BFGS over rotations on the contrast of FastICA, with the Hessian approximation of Picard-O.

The loss is the sum over components of s_i E G(y_i), where s_i = sign(E g'(y_i) - E g(y_i) y_i) says on which side of
the Gaussian a component lies, so every component moves away from it. For U <- exp(D) U with skew-symmetric D the
gradient is A = skew(s_i E g(y_i) y_j), and near independence the Hessian is diagonal with
h_ij = (|kappa_i| + |kappa_j|) / 2, kappa_i = E g'(y_i) - E g(y_i) y_i (Ablin, Cardoso and Gramfort 2018).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unweave.methods.ica.contrasts import Contrast
from unweave.methods.ica.convergence import Stop, movement, spread, summary
from unweave.methods.ica.fixed_point import symmetric_decorrelation
from unweave.methods.ica.run import Keep, Run, keep_nothing
from unweave.methods.ica.sweep import Sweep, sweep
from unweave.progress import meter

MEMORY = 15
"""Pairs of steps and gradient changes that L-BFGS remembers."""
SMALLEST_CURVATURE = 0.01
LARGEST_ANGLE = 1.0
"""Radians by which a step turns any component at most."""
SHRINK = 0.4
TRIALS = 6
"""Step lengths tried before a precision counts as exhausted."""
ROUNDING_GRADIENT = 6e-5
"""Root mean square of the gradient that bfloat16 products of 150,000 rows have from their rounding alone."""
POLISHING = 2
"""Steps that float32 adds after bfloat16."""


@dataclass(frozen=True)
class Rows:
    """What a descent sweeps over: whitened rows in one precision."""

    blocks: Callable[[], Iterable[Tensor]]
    held_out_every: int = 0

    def at(self, rotation: Tensor, contrast: Contrast) -> "Point":
        """Sweep once."""
        return Point.of(sweep(self.blocks(), rotation, contrast, self.held_out_every))


@dataclass(frozen=True)
class Point:
    """The loss around a rotation."""

    sweep: Sweep
    signs: Tensor
    """(q,) s_i"""
    gradient: Tensor
    """(q, q) A, skew-symmetric"""
    curvature: Tensor
    """(q, q) h, at least 0.01"""

    @classmethod
    def of(cls, at: Sweep) -> "Point":
        """Loss, gradient and curvature from the averages of a sweep."""
        relative = at.relative
        kappa = at.derivative - relative.diagonal()
        signs = torch.where(kappa < 0, -1.0, 1.0).to(kappa)
        signed = signs[:, None] * relative
        size = kappa.abs()
        curvature = ((size[:, None] + size) / 2).clamp_min(SMALLEST_CURVATURE)
        return cls(at, signs, (signed - signed.T) / 2, curvature)

    def loss(self, signs: Tensor) -> float:
        """Sum of s_i E G(y_i) for the signs of the point that a step starts from."""
        return float((signs * self.sweep.contrast).sum())


def rotated(direction: Tensor, rotation: Tensor) -> Tensor:
    """Turn U by exp(D) for skew-symmetric D (q, q).

    A step need not be exact, so its exponential is in float32; one Newton-Schulz step in float64 makes what it leads to
    a rotation again, however many steps came before.
    """
    turned = torch.matrix_exp(direction.float()).double() @ rotation
    orthogonal: Tensor = 1.5 * turned - 0.5 * turned @ (turned.T @ turned)
    return orthogonal


class Memory:
    """The latest steps S and changes of the gradient Y, newest last; float32 is enough for what is a guess."""

    def __init__(self, pairs: dict[str, Tensor]) -> None:
        count = len(pairs) // 2
        self.pairs = [(pairs[f"step{i}"], pairs[f"change{i}"]) for i in range(count)]

    def tensors(self) -> dict[str, Tensor]:
        """Return what a checkpoint keeps."""
        named = [(f"step{i}", step) for i, (step, _) in enumerate(self.pairs)]
        return dict(named + [(f"change{i}", change) for i, (_, change) in enumerate(self.pairs)])

    def add(self, step: Tensor, change: Tensor) -> None:
        """Remember a step along which the loss curves upwards; others say nothing about its Hessian."""
        if _dot(step, change) > 0:
            self.pairs = [*self.pairs, (step.float(), change.float())][-MEMORY:]

    def direction(self, point: Point) -> Tensor:
        """Quasi-Newton direction (q, q), capped; plain preconditioned descent where the memory would ascend."""
        found = -_two_loops(self.pairs, point)
        if _dot(found, point.gradient) >= 0:
            self.pairs = []
            found = -point.gradient / point.curvature
        found = (found - found.T) / 2
        angle = float(found.norm(dim=1).max())
        return found * min(1.0, LARGEST_ANGLE / max(angle, 1e-30))


def _two_loops(pairs: Sequence[tuple[Tensor, Tensor]], point: Point) -> Tensor:
    """Inverse-Hessian product of L-BFGS with the gradient; the diagonal 1 / h is its first guess."""
    found = point.gradient.float()
    weights = []
    for step, change in reversed(pairs):
        rho = 1 / _dot(step, change)
        weight = rho * _dot(step, found)
        found.add_(change, alpha=-weight)
        weights.append((rho, weight))
    found /= point.curvature
    for (step, change), (rho, weight) in zip(pairs, reversed(weights), strict=True):
        found.add_(step, alpha=weight - rho * _dot(change, found))
    return found.double()


def _dot(one: Tensor, other: Tensor) -> float:
    return float(torch.dot(one.flatten(), other.flatten()))


def descend(
    sources: Sequence[Rows], start: Run, contrast: Contrast, stop: Stop, *, title: str, keep: Keep = keep_nothing
) -> Run:
    """Go on from `start` until a rule of `stop` is met, one sweep for each accepted step.

    `sources` are the same rows in rising precision. The next one takes over for two last steps when a rule is met, and
    for good when the gradient of this one is noise or no step lowers its loss any more; the last one ends the run.
    """
    facts = {"source": 0, "passes": 0, "last_steps": 0, "ended": None, **start.facts}
    run = replace(start, stopped_by=None, facts=facts)
    memory = Memory(run.memory)
    with meter(title, stop.iterations, run.iterations, unit="iterations") as advance:
        here = sources[facts["source"]].at(run.rotation, contrast)
        facts["passes"] += 0 if start.facts else 1
        while run.stopped_by is None:
            last = facts["source"] == len(sources) - 1
            limit = stop if last else replace(stop, iterations=max(0, stop.iterations - POLISHING))
            ended = limit.reached(run.history, run.iterations) if facts["ended"] is None else None
            if not last and (ended or _rms(here.gradient) < ROUNDING_GRADIENT):
                facts |= {"source": facts["source"] + 1, "ended": ended, "passes": facts["passes"] + 1}
                facts["last_steps"] = POLISHING if ended else 0
                here = sources[facts["source"]].at(run.rotation, contrast)
                continue
            if last and (ended or (facts["ended"] and not facts["last_steps"])):
                run = replace(run, stopped_by=ended or facts["ended"])
                break
            step, there, sweeps = _line_search(sources[facts["source"]], here, memory, contrast)
            facts["passes"] += sweeps
            if there is None:
                if last:
                    run = replace(run, stopped_by=facts["ended"] or "line_search")
                else:
                    facts |= {"source": facts["source"] + 1, "passes": facts["passes"] + 1}
                    here = sources[facts["source"]].at(run.rotation, contrast)
                continue
            memory.add(step, there.gradient - here.gradient)
            if not torch.equal(here.signs, there.signs):
                memory.pairs = []
            facts["last_steps"] = max(0, facts["last_steps"] - 1)
            values = _values(here, there.sweep.rotation, contrast)
            run = run.advanced(there.sweep.rotation, values)
            run = replace(run, memory=memory.tensors(), facts=dict(facts))
            keep(run)
            advance(1, f"LIM p95 {values['lim_p95']:.1e}, contrast {values['contrast']:.5f}")
            here = there
    return replace(run, rotation=symmetric_decorrelation(run.rotation), memory={}, facts=dict(facts))


def _rms(matrix: Tensor) -> float:
    return float(matrix.square().mean().sqrt())


def _values(here: Point, rotation: Tensor, contrast: Contrast) -> dict[str, float]:
    """Points of the curves for a step from `here` to `rotation`; contrasts are those before it, as in FastICA."""
    values = summary(movement(rotation, here.sweep.rotation))
    values |= spread((here.sweep.contrast - contrast.gaussian_mean).abs())
    values["gradient_rms"] = _rms(here.gradient)
    if here.sweep.held_out is not None:
        values["held_out_contrast"] = float((here.sweep.held_out - contrast.gaussian_mean).abs().mean())
    return values


def _line_search(rows: Rows, here: Point, memory: Memory, contrast: Contrast) -> tuple[Tensor, Point | None, int]:
    """Return the step that was taken, where it led and the sweeps it took; a backtrack forgets the memory."""
    step = memory.direction(here)
    before = here.loss(here.signs)
    for sweeps in range(1, TRIALS + 1):
        there = rows.at(rotated(step, here.sweep.rotation), contrast)
        if there.loss(here.signs) < before:
            return step, there, sweeps
        memory.pairs = []
        step = SHRINK * step
    return step, None, TRIALS
