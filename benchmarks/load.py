"""Whether a run holds what its rules declare while more jobs run than there are cores.

`python -m benchmarks.load [CONFIG]` runs a configuration in a fresh clone with eight jobs at a time, in a control group
that may hold no more memory than Snakemake may hand out (Linux, root). Then each job's benchmark file is held
against its rule: peak memory against `mem_mb`, processor time per second against `threads`. Writes
benchmarks/load.json.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from unweave.config import PROJECT
from unweave.files import write_json

JOBS, MEMORY_MB = 8, 20_000
GROUPS = Path("/sys/fs/cgroup/memory")


def memory_group() -> Path:
    """Control group with a limit (version 1 of the interface)."""
    group = GROUPS / f"unweave-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        raise SystemExit(f"error: {GROUPS}: cannot make a control group ({error}): needs Linux and root") from None
    (group / "memory.limit_in_bytes").write_text(str(MEMORY_MB * 1_000_000))
    return group


def finished_jobs(folder: Path) -> list[dict]:
    """Last benchmark record of every job of a run."""
    paths = sorted((folder / "logs/benchmarks").rglob("*.jsonl"))
    return [json.loads(path.read_text(encoding="utf-8").splitlines()[-1]) for path in paths]


def worst(jobs: list[dict], share: dict[int, float]) -> dict[str, object]:
    """Job with the largest share of what it declared."""
    index = max(share, key=lambda i: share[i])
    return {"share": round(share[index], 3), "rule": jobs[index]["rule_name"], "wildcards": jobs[index]["wildcards"]}


def main() -> None:
    """Run, hold against the rules and keep."""
    config = sys.argv[1] if len(sys.argv) > 1 else "config/config.yaml"
    group = memory_group()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(folder)], check=True)
        command = [sys.executable, "-m", "snakemake", "--cores", str(JOBS), "--resources", f"mem_mb={MEMORY_MB}"]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"PYTHONPATH": str(folder / "src")}
        entered = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command, "--configfile", config]
        started = time.monotonic()
        status = subprocess.run(entered, cwd=folder, env=environment, check=False).returncode
        seconds = time.monotonic() - started
        peak = int((group / "memory.max_usage_in_bytes").read_text())
        refused = int((group / "memory.failcnt").read_text())
        jobs = finished_jobs(folder)
    group.rmdir()
    memory = {i: job["max_rss"] / job["resources"]["mem_mb"] for i, job in enumerate(jobs)}
    # Snakemake samples too seldom for shorter jobs.
    long = {i: job for i, job in enumerate(jobs) if job["s"] > 5}
    threads = {i: job["cpu_time"] / job["s"] / job["threads"] for i, job in long.items()}
    results = {
        "config": config,
        "status": status,
        "jobs": len(jobs),
        "concurrent": JOBS,
        "cores": os.cpu_count(),
        "seconds": round(seconds),
        "memory_limit_bytes": MEMORY_MB * 1_000_000,
        "peak_memory_bytes": peak,
        "times_at_the_limit": refused,
        "most_of_declared_memory": worst(jobs, memory),
        "most_of_declared_threads": worst(jobs, threads),
    }
    write_json(PROJECT / "benchmarks/load.json", results)
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
