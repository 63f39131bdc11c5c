"""Where a result came from: written beside it, never into it, so that results stay byte-stable."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unweave.config import PROJECT
from unweave.errors import UnweaveError
from unweave.files import MANIFEST, sha256_of, sha256_of_json, write_json

SUFFIX = ".provenance.json"
TENSORS = {".h5", ".safetensors"}
SEAL = "seal"
"""Key of a record's own hash, which finds damage; records of earlier versions have none."""
PACKAGES = (
    *("torch", "transformers", "tokenizers", "datasets", "pyarrow", "h5py", "numpy", "scipy", "scikit-learn", "pandas"),
    *("matplotlib", "snakemake"),
)


def sidecar(path: Path) -> Path:
    """Provenance file of a result."""
    return path.with_name(f".{path.name}{SUFFIX}")


def sidecars(folder: Path) -> list[Path]:
    """Provenance files of all results below a folder, sorted."""
    return sorted(path for path in folder.rglob(f".*{SUFFIX}") if not path.is_dir())


def result_of(record: Path) -> Path:
    """Find the result that a provenance file belongs to."""
    return record.with_name(record.name.removeprefix(".").removesuffix(SUFFIX))


def _git(*arguments: str) -> str | None:
    # A lock that a killed job left behind would keep its user from committing.
    command = ["git", "--no-optional-locks", "-C", str(PROJECT), *arguments]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return run.stdout.strip() if run.returncode == 0 else None


def _damaged(path: Path) -> UnweaveError:
    return UnweaveError(f"{sidecar(path)}: a damaged record: delete {path} and run again")


def read_record(path: Path) -> dict[str, Any]:
    """Read the sidecar of a result; one without a seal, of an earlier version, is taken as it stands.

    Raises
    ------
    UnweaveError
        if the sidecar is damaged.
    FileNotFoundError
        if there is none.
    """
    try:
        content = json.loads(sidecar(path).read_text(encoding="utf-8"))
        sealed = {name: value for name, value in content.items() if name != SEAL}
        sound = SEAL not in content or content[SEAL] == sha256_of_json(sealed)
    except (ValueError, AttributeError, RecursionError):
        raise _damaged(path) from None
    if not sound:
        raise _damaged(path)
    return dict(content)


def recorded_files(path: Path) -> dict[Path, str]:
    """SHA-256 of a result and of the files that belong to it, as its sidecar states them.

    Raises
    ------
    UnweaveError
        if the sidecar is damaged.
    FileNotFoundError
        if there is none.
    """
    content = read_record(path)
    try:
        belonging = {path.parent / str(name): str(sha256) for name, sha256 in content.get("files", {}).items()}
        return {path: str(content["sha256"]), **belonging}
    except (KeyError, AttributeError):
        raise _damaged(path) from None


def recorded_inputs(path: Path) -> dict[Path, str]:
    """SHA-256 of what a result was made from, as its sidecar states it.

    The paths of a record start where the job ran, which that of the result itself tells: none are returned for a result
    that has been moved since.

    Raises
    ------
    UnweaveError
        if the sidecar is damaged.
    FileNotFoundError
        if there is none.
    """
    content = read_record(path)
    try:
        stated, here = Path(content["output"]).parts, path.absolute().parts
        if here[-len(stated) :] != stated:
            return {}
        start = Path(*here[: -len(stated)])
        return {start / str(name): str(sha256) for name, sha256 in content["inputs"].items()}
    except (KeyError, TypeError, AttributeError):
        raise _damaged(path) from None


def recorded_sha256(path: Path) -> str:
    """SHA-256 of a result as its sidecar states it, or as computed where there is no sidecar.

    Raises
    ------
    UnweaveError
        if the sidecar is damaged.
    """
    return recorded_files(path)[path] if sidecar(path).exists() else sha256_of(path)


def require_unchanged(paths: Iterable[Path]) -> None:
    """Refuse an input of a stage whose bytes are not those that were recorded when it was made.

    Tensors are left out, because most stages read a part of them or none: whoever reads them checks them (activation
    files block by block, dictionaries against their manifest, models by `require_all_unchanged`). So are files without
    a sidecar.

    Raises
    ------
    UnweaveError
        naming the file.
    """
    for path in paths:
        _compare(path, lambda file: file.suffix not in TENSORS)


def require_all_unchanged(path: Path) -> None:
    """Refuse a result of which any file, tensors too, is not as it was recorded; one without a sidecar is not compared.

    Raises
    ------
    UnweaveError
        naming the file.
    """
    _compare(path, lambda _: True)


def _compare(path: Path, wanted: Callable[[Path], bool]) -> None:
    if sidecar(path).exists():
        for file, sha256 in recorded_files(path).items():
            if not file.exists():
                raise UnweaveError(f"{file}: is missing: delete {path} and run again")
            if wanted(file) and sha256_of(file) != sha256:
                raise UnweaveError(
                    f"{file}: has changed since it was made (SHA-256 differs from its record): "
                    f"delete {path} and run again"
                )


def _versions() -> dict[str, str]:
    """Versions of those of PACKAGES that are installed: figures are drawn without torch too."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _used() -> dict[str, Any]:
    """Device, threads, and the largest memory that this process has held, in bytes, on the host and on a GPU."""
    unit = 1 if sys.platform == "darwin" else 1024
    used: dict[str, Any] = {
        "device": "cpu",
        "threads": os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count()),
        "peak_memory_bytes": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    # What needs no torch must not wait until it is imported.
    torch = sys.modules.get("torch")
    if torch is not None:
        used["threads"] = str(torch.get_num_threads())
        if torch.cuda.is_initialized():
            used |= {
                "device": torch.cuda.get_device_name(),
                "peak_gpu_memory_bytes": torch.cuda.max_memory_allocated(),
            }
    return used


def _belonging(output: Path) -> dict[str, str]:
    """SHA-256 by name of the other files of a folder that is known by its manifest."""
    if output.name != MANIFEST:
        return {}
    others = [file for file in sorted(output.parent.iterdir()) if file != output and not file.name.startswith(".")]
    return {file.name: sha256_of(file) for file in others}


def _within(folder: Path, output: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path from the output's own folder."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in (output, sidecar(output))]
    return {path.relative_to(output.parent).as_posix(): sha256_of(path) for path in files}


def record(
    stage: str,
    outputs: Iterable[Path],
    inputs: Iterable[Path],
    spec: dict[str, Any],
    started: float,
    folders: Iterable[Path] = (),
) -> None:
    """Write a sidecar beside each output: hashes of it and of the inputs, the spec, code version, machine and time.

    The spec holds all of the configuration that the result depends on, seeds included; `config_sha256` is its hash.

    The sidecar of a manifest has the hashes of all files of its folder, that of another output those of all files of
    its `folders`, which lie where it does. `started` is a `time.monotonic()` reading. An input that has a sidecar is
    not hashed again.
    """
    status = _git("status", "--porcelain")
    content = {
        "stage": stage,
        "spec": spec,
        "config_sha256": sha256_of_json(spec),
        "inputs": {str(path): recorded_sha256(path) for path in inputs},
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(status) if status is not None else None,
        "packages": _versions(),
        "python": platform.python_version(),
        "machine": platform.platform(),
        "host": platform.node(),
        "finished_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "wall_seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(time.process_time(), 3),
        **_used(),
    }
    for output in outputs:
        files = _belonging(output)
        for folder in folders:
            files |= _within(folder, output)
        stated = {**content, "sha256": sha256_of(output), "files": files, "output": str(output)}
        write_json(sidecar(output), {**stated, SEAL: sha256_of_json(stated)})
