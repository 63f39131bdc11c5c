"""Where a result came from: written beside it, never into it, so that results stay byte-stable."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unweave.config import PROJECT
from unweave.files import sha256_of, write_json

PACKAGES = ("torch", "transformers", "datasets", "h5py", "numpy", "scipy", "scikit-learn", "pandas", "snakemake")


def sidecar(path: Path) -> Path:
    """Provenance file of a result."""
    return path.with_name(f".{path.name}.provenance.json")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(PROJECT), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def recorded_sha256(path: Path) -> str:
    """SHA-256 of a result as its sidecar states it, or as computed where there is no sidecar."""
    try:
        recorded: str = json.loads(sidecar(path).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError):
        return sha256_of(path)
    return recorded


def _versions() -> dict[str, str]:
    """Versions of those of PACKAGES that are installed: figures are drawn without torch too."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _peak_memory() -> dict[str, int]:
    """Largest memory that this process has held, in bytes, on the host and on the GPU if it used one."""
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"peak_memory_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        peaks["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated()
    return peaks


def record(stage: str, outputs: Iterable[Path], inputs: Iterable[Path], spec: dict[str, Any], started: float) -> None:
    """Write a sidecar beside each output: its hash, the inputs' hashes, the spec, code version, machine and time.

    `started` is a `time.monotonic()` reading. An input that has a sidecar is not hashed again.
    """
    status = _git("status", "--porcelain")
    content = {
        "stage": stage,
        "spec": spec,
        "inputs": {str(path): recorded_sha256(path) for path in inputs},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(status) if status is not None else None,
        "packages": _versions(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "host": platform.node(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(time.process_time(), 3),
        **_peak_memory(),
    }
    for output in outputs:
        write_json(sidecar(output), {**content, "output": str(output), "sha256": sha256_of(output)})
