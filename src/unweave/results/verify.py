"""Whether a folder of results still holds what was recorded when it was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.provenance import SEAL, read_record, recorded_files, recorded_inputs, recorded_sha256, result_of, sidecars

RECORDED = {".arrow", ".h5", ".js", ".json", ".parquet", ".safetensors", ".whl"}
"""Kinds of results, all of which get a record."""


@dataclass(frozen=True)
class Comparison:
    """The files of a folder beside their records."""

    unchanged: int
    """Files whose hash is the recorded one."""
    missing: list[Path]
    """Recorded files that are not there."""
    changed: list[Path]
    """Files with another hash, and damaged records."""
    unrecorded: list[Path]
    """Results of which no record speaks, so that damage would not be seen."""
    stale: list[str]
    """Results that were made from another version of a file that is there, with its name."""
    unknown: list[Path]
    """Other files of which no record speaks: of other origin, or left by an interrupted job."""
    unsealed: list[Path]
    """Records of an earlier version, without a hash of their own."""

    @property
    def differences(self) -> dict[str, Sequence[Path | str]]:
        """What is not as it was made, by kind."""
        return {
            "missing": self.missing,
            "changed": self.changed,
            "unrecorded": self.unrecorded,
            "stale": self.stale,
        }

    @property
    def remarks(self) -> dict[str, Sequence[Path | str]]:
        """What does no harm, by kind."""
        return {"unknown": self.unknown, "unsealed": self.unsealed}


def compare(folder: Path) -> Comparison:
    """Hash every file below `folder` and compare it, and what it was made from, with the provenance files there.

    Raises
    ------
    UnweaveError
        if there is no such folder.
    """
    if not folder.is_dir():
        raise UnweaveError(f"{folder}: no such folder: name a folder of results")
    recorded: dict[Path, str] = {}
    changed, missing, stale, unsealed, unchanged = [], [], [], [], 0
    present = {path for path in folder.rglob("*") if not path.is_dir()}
    records = sidecars(folder)
    for record in records:
        result = result_of(record)
        try:
            content, inputs, files = read_record(result), recorded_inputs(result), recorded_files(result)
        except UnweaveError:
            changed.append(record)
            continue
        recorded |= files
        replaced = [source for source, sha256 in inputs.items() if _is_another(source, sha256)]
        stale += [f"{result}: made from another version of {source}" for source in replaced]
        if SEAL not in content:
            unsealed.append(record)
    for path, sha256 in sorted(recorded.items()):
        if not path.is_file():
            missing.append(path)
        elif sha256_of(path) != sha256:
            changed.append(path)
        else:
            unchanged += 1
    unknown = present.difference(records, recorded)
    unrecorded = {path for path in unknown if path.suffix in RECORDED and not _is_hidden(path.relative_to(folder))}
    return Comparison(unchanged, missing, changed, sorted(unrecorded), stale, sorted(unknown - unrecorded), unsealed)


def _is_another(source: Path, sha256: str) -> bool:
    """Whether a file that was read is there and is another, by its own record if it has one."""
    try:
        return source.is_file() and recorded_sha256(source) != sha256
    except UnweaveError:
        return False


def _is_hidden(path: Path) -> bool:
    """Whether it is working state: of an interrupted job, or of another program."""
    return any(part.startswith(".") for part in path.parts)
