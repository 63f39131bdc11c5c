"""Rates from measured runs: seconds of a core for a job of each kind, as a start-up and a share of its work.

Snakemake writes one benchmark file for each job (CPU seconds, peak memory). Of each kind of job the rate is the median
of what was measured: seconds beyond the start-up for each operation. A kind that was never measured takes the median of
its rule.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from unweave.config import PROJECT, Plan
from unweave.costs.work import Work, evaluation_work, fit_work, harvest_rule, harvest_work
from unweave.errors import UnweaveError
from unweave.files import write_json

RATES = PROJECT / "resources" / "rates.json"
START_UP = 3.0
"""CPU seconds until a job does its own work: imports, reading the model and the dictionary."""


@dataclass(frozen=True)
class Measured:
    """One finished job."""

    work: Work
    seconds: float
    """Of CPU."""
    memory: float
    """Peak resident bytes."""


def measured_jobs(folder: Path, plan: Plan) -> list[Measured]:
    """Jobs of `plan` whose benchmark files lie in `folder` (logs/benchmarks).

    Raises
    ------
    UnweaveError
        if there is none, or one is damaged.
    """
    planned = _planned(plan)
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        try:
            content = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
            work = planned.get((content["rule_name"], frozenset(content["wildcards"].items())))
            if work is not None:
                found.append(Measured(work, float(content["cpu_time"]), 1e6 * float(content["max_rss"])))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UnweaveError(f"{path}: is not a benchmark file of a finished job: delete it and run again") from None
    if not found:
        raise UnweaveError(f"{folder}: holds no benchmark file of this configuration: run it first")
    return found


def _planned(plan: Plan) -> dict[tuple[str, frozenset[tuple[str, str]]], Work]:
    """Work of the fits, evaluations and harvests of a plan by the name and the wildcards of their rule."""

    def key(rule: str, wildcards: Mapping[str, Any]) -> tuple[str, frozenset[tuple[str, str]]]:
        return rule, frozenset((name, str(value)) for name, value in wildcards.items())

    harvests = {
        key(harvest_rule(model, group), {"corpus": corpus}): harvest_work(plan, model, corpus, group)
        for model, settings in plan.config.harvest.items()
        for group in settings.groups()
        for corpus in plan.config.corpora
    }
    fits = {key("fit", fit._asdict()): fit_work(plan, fit) for fit in plan.fits}
    evaluations = {
        key("evaluate", {"evaluation": name, **fit._asdict()}): evaluation_work(plan, name, fit)
        for name, fit in plan.scores
    }
    return harvests | fits | evaluations


def rates(jobs: Iterable[Measured]) -> dict[str, float]:
    """Seconds for each operation, by rule and kind; `rule/*` is the median of the kinds of a rule."""
    shares: dict[str, list[float]] = {}
    for job in jobs:
        if job.work.flops > 0:
            share = max(job.seconds - START_UP, 0.2) / job.work.flops
            shares.setdefault(f"{job.work.rule}/{job.work.kind}", []).append(share)
    found = {key: median(values) for key, values in shares.items()}
    for rule in {key.partition("/")[0] for key in found}:
        found[f"{rule}/*"] = median(value for key, value in found.items() if key.startswith(f"{rule}/"))
    return found


def seconds(work: Work, known: Mapping[str, float]) -> float:
    """CPU seconds of a job on one core like those that were measured."""
    if work.rule in ("model", "text"):
        return START_UP + work.disk / 50e6
    rate = known.get(f"{work.rule}/{work.kind}", known.get(f"{work.rule}/*"))
    if rate is None:
        raise UnweaveError(f"{RATES}: knows no {work.rule} job: write it anew with `unweave calibrate`")
    return START_UP + rate * work.flops


def write_rates(path: Path, jobs: list[Measured]) -> None:
    """Keep the rates of measured jobs."""
    write_json(path, {"jobs": len(jobs), "seconds_per_operation": dict(sorted(rates(jobs).items()))})


def read_rates(path: Path = RATES) -> dict[str, float]:
    """Rates that `write_rates` kept.

    Raises
    ------
    UnweaveError
        if the file is missing or damaged.
    """
    try:
        known: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))["seconds_per_operation"]
    except (OSError, ValueError, KeyError):
        raise UnweaveError(f"{path}: missing or damaged: restore it, or write it with `unweave calibrate`") from None
    return known
