"""The bill of a plan: jobs, tokens, operations, disk, hours and memory by rule."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from unweave.costs.calibration import Measured, seconds
from unweave.costs.work import Work, works
from unweave.errors import UnweaveError
from unweave.plan import Plan

GPUS = {"a100": 19.5e12, "h100": 67e12}
"""Float32 operations per second that the makers state, without tensor cores."""
GPU_SHARE = 0.3
"""Share of that which a job is taken to reach: a guess, not a measurement; small batches reach less."""


@dataclass(frozen=True)
class Line:
    """All jobs of one rule."""

    rule: str
    jobs: int
    tokens: float
    flops: float
    disk: float
    core_hours: float
    gpu_hours: float
    """On one device, with the start-up of every job."""
    memory: float
    """Of the largest job, in bytes."""
    longest: float
    """Core hours of the longest job."""


def bill(plan: Plan, rates: Mapping[str, float], gpu: str = "h100") -> list[Line]:
    """One line for each rule, in the order of the workflow.

    Raises
    ------
    UnweaveError
        if `gpu` is unknown.
    """
    if gpu not in GPUS:
        raise UnweaveError(f"--gpu: unknown device {gpu!r}; known: {', '.join(GPUS)}")
    by_rule: dict[str, list[Work]] = {}
    for work in works(plan):
        by_rule.setdefault(work.rule, []).append(work)
    return [_line(rule, jobs, rates, GPUS[gpu] * GPU_SHARE) for rule, jobs in by_rule.items()]


def _line(rule: str, jobs: Sequence[Work], rates: Mapping[str, float], speed: float) -> Line:
    cores = [seconds(work, rates) / 3600 for work in jobs]
    start_up = 10 / 3600
    return Line(
        rule,
        len(jobs),
        sum(work.tokens for work in jobs),
        sum(work.flops for work in jobs),
        sum(work.disk for work in jobs),
        sum(cores),
        sum(start_up + work.flops / speed / 3600 for work in jobs) if rule != "text" else 0.0,
        max(work.memory for work in jobs),
        max(cores),
    )


def disk_needed(plan: Plan) -> float:
    """Bytes that must be free at once: what stays, and the largest group of layers of those that are deleted in turn.

    While a harvest joins its parts it holds them twice.
    """
    turns: dict[str, float] = {}
    largest = 0.0
    for work in works(plan):
        turns[work.turn] = turns.get(work.turn, 0.0) + work.disk
        largest = max(largest, work.disk if work.rule == "harvest" else 0.0)
    staying = turns.pop("", 0.0)
    return staying + max(turns.values(), default=0.0) + largest


def require_disk(plan: Plan, folder: Path) -> None:
    """Raise UnweaveError if the disk of `folder` cannot hold the results of a plan; what is there counts as free."""
    there = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free, needed = shutil.disk_usage(existing).free + there, disk_needed(plan)
    if needed > free:
        raise UnweaveError(
            f"{folder}: the results need {needed / 1e9:,.0f} GB and {free / 1e9:,.0f} GB are free: choose another "
            "--directory, lower `tokens`, or set `layers_at_once` in `harvest`"
        )


def compared(jobs: Iterable[Measured], rates: Mapping[str, float]) -> dict[str, tuple[int, float, float, float]]:
    """By rule: jobs, measured and predicted core seconds, and the share of jobs that are within a factor of two."""
    found: dict[str, tuple[int, float, float, float]] = {}
    by_rule: dict[str, list[Measured]] = {}
    for job in jobs:
        by_rule.setdefault(job.work.rule, []).append(job)
    for rule, some in by_rule.items():
        predicted = [seconds(job.work, rates) for job in some]
        within = sum(0.5 <= guess / job.seconds <= 2 for guess, job in zip(predicted, some, strict=True)) / len(some)
        found[rule] = (len(some), sum(job.seconds for job in some), sum(predicted), within)
    return found
