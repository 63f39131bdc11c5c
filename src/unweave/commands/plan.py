"""`unweave plan` and `unweave calibrate`: what a run will cost, from what earlier runs have cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BeforeValidator, Field

from unweave.config import PROJECT, Count, Strict, read_yaml, validated
from unweave.errors import UnweaveError
from unweave.plan import read_plan

if TYPE_CHECKING:
    from unweave.costs.bill import Line

ConfigFile = Annotated[Path, typer.Option("--config", help="run configuration")]
DEFAULT = PROJECT / "config" / "config.yaml"


def _number(value: object) -> object:
    """Words such as `all` state none."""
    return None if isinstance(value, str) else value


def _by_name(value: object) -> object:
    """Snakemake takes resources as NAME=VALUE too."""
    if not isinstance(value, list):
        return value
    for pair in value:
        if "=" not in str(pair):
            raise ValueError(f"{pair} does not say NAME=VALUE")
    return dict(str(pair).split("=", 1) for pair in value)


class Resources(Strict, extra="ignore"):
    """What jobs share."""

    gpu: Annotated[int, Field(ge=0)] | None = None


class Profile(Strict, extra="ignore"):
    """What of a Snakemake profile says how much runs at once."""

    cores: Annotated[Count | None, BeforeValidator(_number)] = None
    jobs: Annotated[Count | None, BeforeValidator(_number)] = None
    resources: Annotated[Resources, BeforeValidator(_by_name)] = Resources()


def at_once(profile: Path | None) -> tuple[int | None, int]:
    """Cores (or submitted jobs) and GPUs that a profile uses at once; None for all cores.

    Raises
    ------
    UnweaveError
        if there is no such profile, or it says something else.
    """
    if profile is None:
        return None, 1
    found = next((profile / name for name in ("profile.v9+.yaml", "profile.yaml") if (profile / name).exists()), None)
    if found is None:
        raise UnweaveError(f"{profile}: no such profile: name a folder of profiles/")
    content = validated(Profile, read_yaml(found), str(found))
    gpus = content.resources.gpu
    return content.jobs or content.cores, (content.jobs or 1) if gpus is None else gpus


def plan(
    config: ConfigFile = DEFAULT,
    profile: Annotated[Path | None, typer.Option(help="folder of a profile, for what runs at once")] = None,
    gpu: Annotated[str, typer.Option(help="a100 or h100, for the hours on GPUs")] = "h100",
    directory: Annotated[Path, typer.Option(help="where results will lie")] = Path(),
) -> None:
    """Say what a run will cost: jobs, tokens, operations, disk, hours and memory of each rule."""
    from rich.console import Console
    from rich.table import Table

    from unweave.costs.bill import GPU_SHARE, bill, disk_needed, require_disk
    from unweave.costs.calibration import read_rates

    planned = read_plan([config])
    lines = bill(planned, read_rates(), gpu)
    cores, gpus = at_once(profile)
    table = Table(title=f"{config}")
    for heading in ("rule", "jobs", "tokens", "operations", "disk GB", "core hours", f"{gpu} hours", "memory GB"):
        table.add_column(heading, justify="left" if heading == "rule" else "right")
    for line in lines:
        table.add_row(*cells(line))
    console = Console()
    console.print(table)
    core_hours, gpu_hours = (sum(getattr(line, name) for line in lines) for name in ("core_hours", "gpu_hours"))
    console.print(f"{core_hours:,.1f} core hours without a GPU{'' if cores is None else f', {cores} jobs at once'}.")
    console.print(
        f"{gpu_hours:,.1f} hours of one {gpu} at {GPU_SHARE:.0%} of its stated float32 rate (a guess)"
        + (f", {gpu_hours / gpus:,.1f} on {gpus}." if gpus > 1 else ".")
    )
    console.print(f"{disk_needed(planned) / 1e9:,.1f} GB must be free at once.")
    require_disk(planned, directory / "results")


def cells(line: "Line") -> tuple[str, ...]:
    """One row of the table."""
    return (
        line.rule,
        f"{line.jobs:,}",
        f"{line.tokens:.2g}",
        f"{line.flops:.2g}",
        f"{line.disk / 1e9:,.1f}",
        f"{line.core_hours:,.1f}",
        f"{line.gpu_hours:,.1f}",
        f"{line.memory / 1e9:,.1f}",
    )


def calibrate(
    results: Annotated[Path, typer.Argument(help="folder of results of a finished run")] = Path("results"),
    config: ConfigFile = DEFAULT,
    output: Annotated[Path | None, typer.Option(help="file to write; without it rates are compared only")] = None,
) -> None:
    """Compare predicted with measured costs of a run; with --output, learn the rates from it."""
    from rich.console import Console
    from rich.table import Table

    from unweave.costs.bill import compared
    from unweave.costs.calibration import measured_jobs, read_rates, write_rates

    jobs = measured_jobs(results, read_plan([config]))
    if output is not None:
        write_rates(output, jobs)
    known = read_rates() if output is None else read_rates(output)
    table = Table(
        "rule", "jobs", "measured core s", "predicted", "ratio", "jobs within 2x", "memory below the estimate"
    )
    for rule, (count, measured, predicted, within) in compared(jobs, known).items():
        below = sum(job.memory <= job.work.memory for job in jobs if job.work.rule == rule) / count
        table.add_row(
            rule,
            f"{count}",
            f"{measured:,.0f}",
            f"{predicted:,.0f}",
            f"{predicted / measured:.2f}",
            f"{within:.0%}",
            f"{below:.0%}",
        )
    Console().print(table)
