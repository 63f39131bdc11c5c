"""`unweave doctor`: whether this machine and this environment can run the workflow."""

import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer

from unweave.config import PROJECT

LOCKS = ("requirements.txt", "torch.txt")
NEEDED_DISK = 10e9
"""Bytes of the default run, its downloads and its environment."""
NEEDED_MEMORY = 4e9


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    what: str
    found: str
    mend: str = ""
    """What to do; empty where all is well."""


def locked_versions() -> dict[str, set[str]]:
    """Package to the versions that the locks allow, by platform."""
    found: dict[str, set[str]] = {}
    for name in LOCKS:
        for line in (PROJECT / "envs" / name).read_text(encoding="utf-8").splitlines():
            pinned = re.match(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", line)
            if pinned:
                found.setdefault(pinned[1], set()).add(pinned[2])
    return found


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    known = (3, 11) <= sys.version_info < (3, 14)
    return Finding("Python", found, "" if known else "install Python 3.11, 3.12 or 3.13")


def _packages() -> Finding:
    # Packages of other platforms are in the lock and rightly not installed: only those that we import can be missing.
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[^A-Za-z0-9._-]", requirement)[0] for requirement in project["dependencies"]}
    missing, other = [], []
    for name, versions in locked_versions().items():
        try:
            installed = version(name).partition("+")[0]
        except PackageNotFoundError:
            if name in declared:
                missing.append(name)
            continue
        if installed not in versions:
            other.append(f"{name} {installed}")
    if missing:
        return Finding("packages", f"missing: {', '.join(sorted(missing))}", "make .venv/.ready")
    if other:
        return Finding("packages", f"not the locked versions: {', '.join(sorted(other))}", "make .venv/.ready")
    return Finding("packages", "as locked")


def _devices() -> list[Finding]:
    try:
        import torch

        from unweave.hardware import has_fast_bfloat16
    except ImportError:
        return [Finding("torch", "missing", "pip install --requirement envs/torch.txt")]
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    slow = "no: reading text takes two to three times as long; lower `tokens` if that matters"
    return [
        Finding("torch", torch.__version__),
        Finding("GPUs", ", ".join(gpus) or "none: everything runs on the CPU"),
        Finding("CPU", f"{os.cpu_count()} cores"),
        Finding("bfloat16 instructions", "yes" if has_fast_bfloat16(torch.device("cpu")) else slow),
    ]


def _memory() -> Finding:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    mend = "" if total >= NEEDED_MEMORY else "one job needs 2 GB: use --cores 1"
    return Finding("memory", f"{total / 1e9:.0f} GB", mend)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    mend = "" if free >= NEEDED_DISK else "free 10 GB, or run with --directory on another disk"
    return Finding("free disk", f"{free / 1e9:.0f} GB in {folder.resolve()}", mend)


def _hub() -> Finding:
    token = "set" if os.environ.get("HF_TOKEN") else "not set"
    return Finding("hub token (HF_TOKEN)", f"{token}; only gated models need it")


def findings(folder: Path) -> list[Finding]:
    """Everything that is looked at."""
    return [_python(), _packages(), *_devices(), _memory(), _disk(folder), _hub()]


def doctor() -> None:
    """Check Python, packages, devices, memory and disk; exit status 1 if something must be mended."""
    from rich.console import Console
    from rich.table import Table

    found = findings(Path())
    table = Table("", "found", "mend", box=None)
    for finding in found:
        table.add_row(finding.what, finding.found, finding.mend)
    Console().print(table)
    raise typer.Exit(code=int(any(finding.mend for finding in found)))
