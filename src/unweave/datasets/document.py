"""What every reader yields, and where readers look for it."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from unweave.errors import UnweaveError

Place = Path | zipfile.Path
"""A file or folder on the disk or inside an opened wheel; both kinds are walked and opened alike."""


@dataclass(frozen=True)
class Document:
    """One text of a source."""

    text: str
    label: str | int | None
    """Class name, or index of the class in the registry entry's `labels`, or None for unlabelled text."""
    source_id: str
    """Row number, path or own id in the source."""
    group: str | None = None
    """Source document that this text is a piece of; all pieces go to the same split. None: the text is whole."""


def require_file(place: Place) -> None:
    """Raise UnweaveError if there is no file at `place`."""
    if not place.is_file():
        raise UnweaveError(f"{place}: no such file: correct the paths in the registry")


def require_folder(place: Place) -> None:
    """Raise UnweaveError if there is no folder at `place`."""
    if not place.is_dir():
        raise UnweaveError(f"{place}: no such folder: correct the paths in the registry")
