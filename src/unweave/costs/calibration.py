"""Rates from measured runs: seconds of a core for a job of each kind, as a start-up and a share of its work.

The record beside each result says what its job took: CPU seconds and peak memory, as the kernel counted them.
(Snakemake's benchmark files are samples, and miss what follows the last one: a sixth of the CPU time of a run.) Of each
kind of job the rate is the median of what was measured: seconds beyond the start-up for each operation. A kind that was
never measured takes the median of its rule.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from unweave.config import PROJECT, HarvestSettings
from unweave.costs.work import Work, evaluation_work, fit_work, harvest_rule, harvest_work
from unweave.errors import UnweaveError
from unweave.files import write_json
from unweave.plan import Fit, Plan
from unweave.provenance import read_record, result_of, sidecars

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


def measured_jobs(results: Path, plan: Plan) -> list[Measured]:
    """Jobs of `plan` whose results lie in a folder (results), with what their records say.

    Raises
    ------
    UnweaveError
        if there is none, or a record is damaged.
    """
    planned = _planned(plan)
    found: dict[Job, Measured] = {}
    for path in sidecars(results):
        try:
            record = read_record(result_of(path))
            job = _job(record)
            if job is not None and job in planned:
                found[job] = Measured(planned[job], float(record["cpu_seconds"]), float(record["peak_memory_bytes"]))
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            raise UnweaveError(f"{path}: a damaged record: delete {result_of(path)} and run again") from None
    if not found:
        raise UnweaveError(f"{results}: holds no result of this configuration: run it first")
    return list(found.values())


Job = tuple[str, str | Fit, str]
"""Rule; then corpus of a harvest, or dictionary; then the evaluation, if it is one."""


def _job(record: Mapping[str, Any]) -> Job | None:
    """Which job a record is about; None for stages that cost next to nothing."""
    spec = record["spec"]
    match record["stage"]:
        case "harvest":
            where = spec["description"]
            return harvest_rule(where["model"], HarvestSettings(**spec["settings"])), str(where["corpus"]), ""
        case "fit":
            return "fit", Fit(**{name: spec["description"][name] for name in Fit._fields}), ""
        case "evaluate":
            key = {**spec["key"], "seed": spec["key"]["fit_seed"]}
            return "evaluate", Fit(**{name: key[name] for name in Fit._fields}), str(key["evaluation"])
    return None


def _planned(plan: Plan) -> dict[Job, Work]:
    """Work of the fits, evaluations and harvests of a plan."""
    harvests: dict[Job, Work] = {
        (harvest_rule(model, group), corpus, ""): harvest_work(plan, model, corpus, group)
        for model, settings in plan.config.harvest.items()
        for group in settings.groups()
        for corpus in plan.config.corpora
    }
    fits: dict[Job, Work] = {("fit", fit, ""): fit_work(plan, fit) for fit in plan.fits}
    evaluations: dict[Job, Work] = {
        ("evaluate", fit, name): evaluation_work(plan, name, fit) for name, fit in plan.scores
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
