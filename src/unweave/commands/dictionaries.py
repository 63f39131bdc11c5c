"""What a fitted dictionary says about where it belongs."""

from pathlib import Path

from unweave.errors import UnweaveError
from unweave.methods.dictionary import read_manifest


def place_of(folder: Path) -> tuple[str, int]:
    """Site and layer that a dictionary was fitted at.

    Raises
    ------
    UnweaveError
        if its manifest is missing, damaged or does not say.
    """
    description = read_manifest(folder)["description"]
    try:
        return str(description["site"]), int(description["layer"])
    except (KeyError, TypeError, ValueError):
        raise UnweaveError(f"{folder}: its manifest does not say its site and layer: fit it by the workflow") from None
