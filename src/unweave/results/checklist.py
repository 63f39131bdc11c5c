"""Which figures and tables of the papers are made, and why the others are not (resources/checklist.yaml)."""

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from unweave.config import PROJECT, FigureEntry, Strict, read_checked
from unweave.errors import UnweaveError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

CHECKLIST = PROJECT / "resources" / "checklist.yaml"
COLUMNS = ("paper", "printed", "shows", "status", "notebook", "figure", "reason")


class PrintedItem(Strict):
    """One figure or table of a paper."""

    printed: str = Field(description="where the paper has it")
    shows: str
    item: str | None = Field(default=None, description="key of figures.yaml")
    not_made: str | None = Field(default=None, description="why nothing makes it")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.item is None) == (self.not_made is None):
            raise ValueError("give either `item` or `not_made`")
        return self


def read(path: Path = CHECKLIST) -> dict[str, list[PrintedItem]]:
    """Read the printed items by paper.

    Raises
    ------
    UnweaveError
        if the file is missing or malformed.
    """
    return read_checked(path, dict[str, list[PrintedItem]])


def table(
    items: "Mapping[str, list[PrintedItem]]",
    figures: "Mapping[str, Mapping[str, FigureEntry]]",
    where: Path = CHECKLIST,
) -> "pd.DataFrame":
    """One row for every printed item: `made` with its notebook and figure, or `not made` with the reason.

    Raises
    ------
    UnweaveError
        if an item is in one of the files and not in the other: nothing goes missing silently.
    """
    import pandas as pd

    named = {(paper, entry.item) for paper, entries in items.items() for entry in entries if entry.item}
    known = {(paper, item) for paper, entries in figures.items() for item in entries}
    for paper, item in sorted(known - named):
        raise UnweaveError(f"{where}: {paper}: lacks {item}, which figures.yaml makes: add what it replicates")
    for paper, item in sorted(named - known):
        raise UnweaveError(f"{where}: {paper}: names {item}, which figures.yaml lacks: add it there, or say `not_made`")
    rows = []
    for paper, entries in items.items():
        for entry in entries:
            made = figures[paper][entry.item] if entry.item else None
            rows.append(
                {
                    "paper": paper,
                    "printed": entry.printed,
                    "shows": entry.shows,
                    "status": "made" if made else "not made",
                    "notebook": made.notebook if made else "",
                    "figure": f"figures/{paper}/{entry.item}.png" if made else "",
                    "reason": entry.not_made or "",
                }
            )
    return pd.DataFrame(rows, columns=list(COLUMNS))
