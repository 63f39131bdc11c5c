"""Bugs and confounds of the papers and their code, and what each changes in numbers here (resources/errata.yaml)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from unweave.config import PROJECT, Strict, read_checked
from unweave.results.claims import Selector, difference_interval, selected

if TYPE_CHECKING:
    import pandas as pd

ERRATA = PROJECT / "resources" / "errata.yaml"
COLUMNS = (
    *("erratum", "problem", "done", "compared", "unit", "faithful", "faithful_low", "faithful_high"),
    *("fixed", "fixed_low", "fixed_high", "difference", "ci_low", "ci_high"),
)


class Compared(Strict):
    """One number with the bug or confound and without it."""

    what: str
    where: dict[str, Any] = Field(description="what the selectors of both sides have in common")
    faithful: dict[str, Any] = Field(description="what the published side has besides")
    fixed: dict[str, Any]

    @model_validator(mode="after")
    def _selects(self) -> Self:
        for side in (self.faithful, self.fixed):
            Selector.model_validate({**self.where, **side})
        return self


class Erratum(Strict):
    """One bug or confound."""

    title: str = Field(min_length=1)
    problem: str = Field(min_length=1, description="what is wrong, in our words")
    done: str = Field(min_length=1, description="what this project does instead, or does too")
    compared: list[Compared] = Field(default=[], description="numbers with and without it; none where it is only noted")


def read(path: Path = ERRATA) -> dict[str, list[Erratum]]:
    """Read the errata by paper.

    Raises
    ------
    unweave.errors.UnweaveError
        if the file is missing or malformed.
    """
    return read_checked(path, dict[str, list[Erratum]])


def table(errata: list[Erratum], scores: "pd.DataFrame") -> "pd.DataFrame":
    """Both numbers and the difference (fixed less faithful) of every comparison, means over layers and corpora.

    A number that the run did not measure is missing, and so is the interval of one that was measured without.
    """
    import pandas as pd

    scores = scores.reset_index(drop=True)
    rows = []
    for erratum in errata:
        for entry in erratum.compared:
            row: dict[str, Any] = erratum.model_dump(include={"problem", "done"})
            row |= {"erratum": erratum.title, "compared": entry.what}
            sides, units = {}, []
            for name, side in (("faithful", entry.faithful), ("fixed", entry.fixed)):
                found = selected(scores, Selector.model_validate({**entry.where, **side}))
                if not found.empty:
                    ends = scores.loc[found.index, ["ci_low", "ci_high"]].mean(skipna=False)
                    value, low, high = (float(number) for number in (found["value"].mean(), *ends))
                    sides[name] = (value, low, high)
                    units.append(str(found["unit"].iloc[0]))
                    row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            if units:
                row["unit"] = " → ".join(dict.fromkeys(units))
            if len(sides) == 2:
                difference = difference_interval(sides["fixed"], sides["faithful"])
                row |= dict(zip(("difference", "ci_low", "ci_high"), difference, strict=True))
            rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))
