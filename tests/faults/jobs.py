"""The jobs of a workflow as commands, and running one of them so that it can be disturbed.

A job runs in a fork of this process, which has imported what jobs import: that saves three seconds of each trial. It is
`unweave.cli.main()` with the arguments that the rule's shell command gives.
"""

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from unweave.config import PROJECT

STAGES = ("fetch", "text", "model", "harvest", "fit", "evaluate", "figure", "checklist", "index")
PATIENCE_S = 120.0
SIDECAR = ".provenance.json"


@dataclass(frozen=True)
class Job:
    """One command of the workflow, with paths relative to its folder."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Subcommand of `unweave`."""
        return self.arguments[0]

    @cached_property
    def name(self) -> str:
        """What trials call it."""
        return f"{self.stage} {Path(self.outputs[0]).parent if self.stage != 'fetch' else self.outputs[0]}"

    @property
    def place(self) -> Path:
        """Folder that holds its results and what it writes on the way to them."""
        first = Path(self.outputs[0])
        return first.parent.parent if first.name == "manifest.json" else first.parent

    def owns(self, path: str) -> bool:
        """Whether a file is one of its results, or belongs to one."""
        return any(
            path == output or (output.endswith("/manifest.json") and Path(path).parent == Path(output).parent)
            for output in self.outputs
        )

    def clear(self, folder: Path) -> None:
        """Remove its results."""
        for output in self.outputs:
            path = folder / output
            if path.name == "manifest.json":
                shutil.rmtree(path.parent, ignore_errors=True)
            path.unlink(missing_ok=True)
            path.with_name(f".{path.name}{SIDECAR}").unlink(missing_ok=True)


def snakemake(folder: Path, *arguments: str) -> list[str]:
    """Command that runs the workflow of `folder.parent` in `folder`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", str(folder.parent / "config.yaml"), "--replace-workflow-config", "--cores", "1"]
    return [*command, *arguments]


def planned(folder: Path) -> list[Job]:
    """Every job of the workflow, in an order in which they can run."""
    command = snakemake(folder, "--dry-run", "--printshellcmds")
    listed = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise RuntimeError(listed.stdout + listed.stderr)
    found = []
    for block in re.split(r"\n(?=(?:local)?rule )", listed.stdout + listed.stderr)[1:]:
        command_line = re.search(r"^Shell command: python -m unweave (.*?) > \S+ 2>&1$", block, re.MULTILINE)
        if command_line:
            named = {key: _listed(block, key) for key in ("input", "output")}
            rule = re.match(r"(?:local)?rule ([\w-]+)", block)
            found.append(
                Job(rule[1] if rule else "", named["input"], named["output"], tuple(shlex.split(command_line[1])))
            )
    return sorted(found, key=lambda job: STAGES.index(job.stage))


def _listed(block: str, key: str) -> tuple[str, ...]:
    line = re.search(rf"^ +{key}: (.*)$", block, re.MULTILINE)
    return tuple(line[1].split(", ")) if line else ()


@dataclass(frozen=True)
class Ended:
    """How a job ended. The status is negative where a signal ended it, and None where it had to be given up."""

    status: int | None
    output: str
    seconds: float

    @property
    def refusals(self) -> list[str]:
        """Lines that say what is wrong."""
        return [line for line in self.output.splitlines() if line.startswith("error: ")]

    @property
    def is_clear(self) -> bool:
        """Whether it ended in one line that says what to do, and in nothing that only a programmer reads."""
        return self.status == 2 and len(self.refusals) == 1 and "Traceback" not in self.output


class Running:
    """A job that was started."""

    def __init__(self, pid: int, log: Path) -> None:
        self._pid = pid
        self._log = log
        self._began = time.monotonic()

    def kill(self) -> None:
        """End it at once, with everything that it has started."""
        # The group is there a moment after the process.
        for end, target in ((os.kill, self._pid), (os.killpg, self._pid)):
            with contextlib.suppress(ProcessLookupError):
                end(target, signal.SIGKILL)

    def ended_within(self, seconds: float) -> bool:
        """Wait so long, or until it ends. Its status stays to be collected."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
            time.sleep(0.002)
        return False

    def wait(self) -> Ended:
        """How it ends; one that takes too long is killed."""
        timely = self.ended_within(PATIENCE_S)
        # Also what it left running, such as a notebook's kernel.
        self.kill()
        _, status = os.waitpid(self._pid, 0)
        seconds = time.monotonic() - self._began
        code = os.waitstatus_to_exitcode(status) if timely else None
        return Ended(code, self._log.read_text(encoding="utf-8", errors="replace"), seconds)


def start(
    job: Job | tuple[str, ...],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    before: Callable[[], None] = lambda: None,
) -> Running:
    """Start a job in `folder`; `before` is called in its process."""
    arguments = job.arguments if isinstance(job, Job) else job
    log = folder / "log.txt"
    log.write_bytes(b"")
    pid = os.fork()
    if pid:
        return Running(pid, log)
    try:
        os.setsid()
        os.chdir(folder)
        written = os.open(log, os.O_WRONLY)
        os.dup2(written, 1)
        os.dup2(written, 2)
        os.environ.update(environment or {})
        before()
        sys.argv = ["unweave", *arguments]
        _run_main()
    finally:
        os._exit(70)


def _run_main() -> None:
    from unweave.cli import main

    status = 0
    try:
        main()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def import_what_jobs_import(small_steps: bool = True) -> None:
    """Import ahead of the forks; `small_steps` lets a harvest and a fit keep their state every few milliseconds."""
    import datasets  # noqa: F401
    import h5py  # noqa: F401
    import pandas  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch  # noqa: F401
    import transformers  # noqa: F401

    import unweave.activations.harvest as harvest
    import unweave.datasets.prepare
    import unweave.evaluations.run
    import unweave.fetch
    import unweave.methods.fit
    import unweave.models.prepare
    import unweave.notebook  # noqa: F401
    from unweave.methods.checkpoint import Checkpoint

    if small_steps:
        harvest.PART_ROWS = 400
        Checkpoint.__init__.__defaults__ = (None, "", 0.02)


def contents(folder: Path, known: Mapping[tuple[int, int], str] | None = None) -> dict[str, str]:
    """SHA-256 of every result and leftover in a folder by its path; sidecars and logs are left out.

    `known` gives the hashes of files that are not read again, by device and inode.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and not path.name.endswith(SIDECAR)
            and path.relative_to(folder).parts[0] in ("results", "figures")
        ):
            status = path.stat()
            digest = (known or {}).get((status.st_dev, status.st_ino))
            found[str(path.relative_to(folder))] = digest or hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def inodes(folder: Path, hashes: Mapping[str, str]) -> dict[tuple[int, int], str]:
    """The same by device and inode."""
    stated = {path: (folder / path).stat() for path in hashes}
    return {(status.st_dev, status.st_ino): hashes[path] for path, status in stated.items()}


def view(prepared: Path, folder: Path) -> Path:
    """`folder` as a copy of the finished run, by hard links: jobs replace files and never write into them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(prepared, folder, copy_function=os.link, ignore=shutil.ignore_patterns("log.txt", ".snakemake"))
    return folder


def run_all(jobs: Iterable[Job], folder: Path, environment: Mapping[str, str]) -> dict[str, float]:
    """Run every job undisturbed and return how long each took."""
    seconds = {}
    for job in jobs:
        ended = start(job, folder, environment).wait()
        if ended.status != 0:
            raise RuntimeError(f"{job.name}: {ended.output}")
        seconds[job.name] = ended.seconds
    return seconds
