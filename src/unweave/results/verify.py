"""Whether a folder of results still holds what was recorded when it was made."""

from dataclasses import dataclass
from pathlib import Path

from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.provenance import recorded_files, result_of, sidecars


@dataclass(frozen=True)
class Comparison:
    """The files of a folder beside their records."""

    unchanged: int
    """Files whose hash is the recorded one."""
    missing: list[Path]
    """Recorded files that are not there."""
    changed: list[Path]
    """Files with another hash, and records that cannot be read."""
    unknown: list[Path]
    """Files of which no record speaks: of other origin, or left by an interrupted job."""

    @property
    def differences(self) -> dict[str, list[Path]]:
        """What differs, by kind."""
        return {"missing": self.missing, "changed": self.changed, "unknown": self.unknown}


def compare(folder: Path) -> Comparison:
    """Hash every file below `folder` and compare it with the provenance files there.

    Raises
    ------
    UnweaveError
        if there is no such folder.
    """
    if not folder.is_dir():
        raise UnweaveError(f"{folder}: no such folder: name a folder of results")
    recorded: dict[Path, str] = {}
    changed, missing, unchanged = [], [], 0
    files = {path for path in folder.rglob("*") if not path.is_dir()}
    records = sidecars(folder)
    for record in records:
        try:
            recorded |= recorded_files(result_of(record))
        except UnweaveError:
            changed.append(record)
    for path, sha256 in sorted(recorded.items()):
        if not path.is_file():
            missing.append(path)
        elif sha256_of(path) != sha256:
            changed.append(path)
        else:
            unchanged += 1
    return Comparison(unchanged, missing, changed, sorted(files.difference(records, recorded)))
