"""Whether a run holds what its rules declare while more jobs run than there are cores.

`python -m benchmarks.load FOLDER [--config CONFIG] [--against RUN]` runs a configuration in a fresh clone in FOLDER,
with eight jobs at a time, in a control group that may hold no more memory than Snakemake may hand out (Linux, root).

Each job is held against its rule: peak memory in its benchmark file against `mem_mb`, processor time per second in its
record against its threads. The clone is kept: scores and figures are compared with those of an undisturbed RUN, if one
is named. Writes benchmarks/load.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from unweave.config import PROJECT
from unweave.files import write_json
from unweave.provenance import sidecars

JOBS, MEMORY_MB = 8, 20_000
GROUPS = Path("/sys/fs/cgroup/memory")
SHORT = 5
"""Seconds of a job below which its start blurs processor time per second."""


@contextmanager
def memory_group() -> Iterator[Path]:
    """Control group with a limit (version 1 of the interface), gone when the block ends."""
    group = GROUPS / f"unweave-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise SystemExit(f"error: {GROUPS}: cannot make a control group ({error}): needs Linux and root") from None
    try:
        (group / "memory.limit_in_bytes").write_text(str(MEMORY_MB * 1_000_000))
        yield group
    finally:
        for process in (group / "cgroup.procs").read_text().split():
            (GROUPS / "cgroup.procs").write_text(process)
        group.rmdir()


def memory_shares(folder: Path) -> dict[str, float]:
    """Peak memory of every job over what its rule declares, by its benchmark file."""
    shares = {}
    for path in sorted((folder / "logs/benchmarks").rglob("*.jsonl")):
        job = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
        # Snakemake samples: it may have seen nothing of a very short job.
        if isinstance(job["max_rss"], int | float):
            shares[path.relative_to(folder).as_posix()] = job["max_rss"] / job["resources"]["mem_mb"]
    return shares


def thread_shares(folder: Path) -> dict[str, float]:
    """Mean number of busy threads of every job that is not short, over what it was given, by output."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sidecars(folder / "results")]
    return {
        record["output"]: record["cpu_seconds"] / record["wall_seconds"] / int(record["threads"])
        for record in records
        if record["wall_seconds"] > SHORT and record["threads"]
    }


def worst(shares: dict[str, float]) -> dict[str, object]:
    """Job with the largest share of what it declared."""
    job = max(shares, key=lambda name: shares[name])
    return {"share": round(shares[job], 3), "job": job}


def differing(one: Path, other: Path) -> dict[str, object]:
    """Score tables and figures that two runs do not have alike.

    Scores are compared but for the commit they were made at, which two runs may differ in without a change of any code
    that made them; data and images of figures are compared byte by byte.
    """

    def scores(path: Path) -> bytes:
        return pd.read_parquet(path).drop(columns="code").to_csv(index=False).encode()

    kinds: dict[str, tuple[str, Callable[[Path], bytes]]] = {
        "scores": ("results/scores/**/*.parquet", scores),
        "data_of_figures": ("figures/**/*.csv", Path.read_bytes),
        "images_of_figures": ("figures/**/*.png", Path.read_bytes),
    }
    found: dict[str, object] = {}
    for kind, (pattern, content) in kinds.items():
        names = sorted({path.relative_to(run).as_posix() for run in (one, other) for path in run.glob(pattern)})
        alike = {
            name
            for name in names
            if (one / name).exists() and (other / name).exists() and content(one / name) == content(other / name)
        }
        found[kind] = {"compared": len(names), "differing": [name for name in names if name not in alike]}
    return found


def run(folder: Path, config: str, group: Path) -> int:
    """Run a configuration in a fresh clone inside a control group and return Snakemake's status."""
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
    command = [sys.executable, "-m", "snakemake", "--cores", str(JOBS), "--resources", f"mem_mb={MEMORY_MB}"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src")}
    entered = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command, "--configfile", config]
    return subprocess.run(entered, cwd=folder, env=environment, check=False).returncode


def main() -> None:
    """Run, hold against the rules and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the clone is made")
    parser.add_argument("--config", default="config/config.yaml")
    parser.add_argument("--against", type=Path, help="folder of a finished run of the same configuration")
    asked = parser.parse_args()
    if asked.against and not any(asked.against.glob("results/scores")):
        raise SystemExit(f"error: {asked.against}: holds no results/scores, so it is no finished run")
    with memory_group() as group:
        started = time.monotonic()
        status = run(asked.folder, asked.config, group)
        seconds = time.monotonic() - started
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        refused = int((group / "memory.failcnt").read_text())
    memory, threads = memory_shares(asked.folder), thread_shares(asked.folder)
    if status or not memory or not threads:
        raise SystemExit(f"error: {asked.folder}: the run ended with status {status}: see its logs")
    results = {
        "config": asked.config,
        "jobs": len(list((asked.folder / "logs/benchmarks").rglob("*.jsonl"))),
        "concurrent": JOBS,
        "cores": os.cpu_count(),
        "seconds": round(seconds),
        "memory_limit_bytes": MEMORY_MB * 1_000_000,
        "peak_memory_bytes": peak,
        "times_at_the_limit": refused,
        "most_of_declared_memory": worst(memory),
        "most_of_given_threads": worst(threads),
    }
    if asked.against:
        results["against_an_undisturbed_run"] = differing(asked.folder, asked.against)
    write_json(PROJECT / "benchmarks/load.json", results)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
