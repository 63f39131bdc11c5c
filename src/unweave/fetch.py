"""Getting pinned files from the Python package index, and reading them as archives without installing anything."""

import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

from unweave.config import PypiSource
from unweave.errors import UnweaveError
from unweave.files import require_free_space, sha256_of, staged_file

WHEEL_SPACE = 200_000_000
# RuntimeError: an encrypted member, or one that is compressed in an unknown way.
UNREADABLE = (ValueError, EOFError, OSError, RuntimeError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged archive raises."""


def fetch_wheel(source: PypiSource, target: Path) -> None:
    """Download the wheel of `source` to `target` with pip, checking its SHA-256.

    pip is used because it honours the user's index, mirror, proxy and certificate settings. Only wheels are accepted,
    so no code of the package runs.

    Raises
    ------
    UnweaveError
        if the disk is full, the index cannot be reached, the release does not exist, or the hash is another.
    """
    pinned = f"{source.project}=={source.version}"
    require_free_space(target.parent, WHEEL_SPACE, f"downloading {pinned}")
    prefix = f".{target.name}.download-"
    for left in target.parent.glob(f"{prefix}*"):  # by a killed job: only one job makes this file at a time
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as folder:
        requirement = Path(folder) / "requirement.txt"
        requirement.write_text(f"{pinned} --hash=sha256:{source.sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps"]
        command += ["--only-binary", ":all:", "--require-hashes", "--dest", folder, "--requirement", str(requirement)]
        run = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PIP_NO_COLOR": "1"}
        )
        if run.returncode:
            raise UnweaveError(_download_failure(pinned, source.sha256, run.stdout + run.stderr))
        (wheel,) = Path(folder).glob("*.whl")
        with staged_file(target) as partial:
            wheel.replace(partial)


def _download_failure(pinned: str, sha256: str, output: str) -> str:
    if "DO NOT MATCH THE HASHES" in output:
        return (
            f"{pinned}: the downloaded wheel's SHA-256 is not {sha256[:12]}...: correct `sha256` in the registry, "
            "or distrust the index"
        )
    if "No module named pip" in output:
        return f"{pinned}: pip is missing from {sys.executable}: run `python -m ensurepip`"
    unreachable = (
        "incomplete",
        "ConnectionError",
        "NewConnectionError",
        "Temporary failure",
        "Max retries",
        "ConnectTimeout",
    )
    if any(sign in output for sign in (*unreachable, "ProxyError", "Network is unreachable", "ReadTimeout")):
        return (
            f"{pinned}: the package index cannot be reached: check the network or pip's index settings, then run again"
        )
    if "No matching distribution" in output or "Could not find a version" in output:
        return (
            f"{pinned}: the package index has no such wheel: correct project and version in the registry, or go online"
        )
    last = [line for line in output.splitlines() if line.strip()][-1:]
    return f"{pinned}: pip could not download it: {' '.join(last)}"


def read_member(archive: Path, member: str) -> bytes:
    """Content of one member of a wheel or zip file.

    Raises
    ------
    UnweaveError
        if the archive is damaged or has no such member.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)
    except KeyError:
        raise UnweaveError(f"{archive}: has no member {member!r}: correct `file` in the registry") from None
    except UNREADABLE as error:
        problem = str(error) or type(error).__name__
        raise UnweaveError(f"{archive}: not a readable archive ({problem}): delete it and run again") from None


def extract_member(archive: Path, member: str, target: Path, sha256: str | None) -> None:
    """Write one member of a wheel to `target`, atomically, checking its SHA-256 if one is given.

    Raises
    ------
    UnweaveError
        if the member is missing or its hash is another.
    """
    with staged_file(target) as partial:
        partial.write_bytes(read_member(archive, member))
        if sha256 is not None and sha256_of(partial) != sha256:
            raise UnweaveError(
                f"{archive}: SHA-256 of {member} is not {sha256[:12]}...: correct `file_sha256` in the registry"
            )
