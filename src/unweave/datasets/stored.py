"""Opening a data set that was prepared."""

import hashlib
from pathlib import Path

import datasets

from unweave.errors import UnweaveError

COLUMNS = {"text", "label", "split", "source_id"}


def load_dataset(folder: Path) -> datasets.Dataset:
    """Open a prepared data set.

    Raises
    ------
    UnweaveError
        if the folder holds none.
    """
    try:
        dataset = datasets.load_from_disk(str(folder))
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UnweaveError(f"{folder}: not a readable data set ({reason}): delete it and run again") from None
    if not isinstance(dataset, datasets.Dataset) or not set(dataset.column_names) >= COLUMNS:
        raise UnweaveError(f"{folder}: is not a data set with columns {', '.join(sorted(COLUMNS))}: prepare it again")
    return dataset


def hash_dataset(folder: Path) -> str:
    """Hex SHA-256 of a data set's Arrow files, in order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.arrow")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
