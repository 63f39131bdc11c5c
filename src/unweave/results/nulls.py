"""Whether what has learned nothing scores what chance gives (resources/nulls.yaml)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from unweave.config import PROJECT, Strict, read_checked
from unweave.results.claims import Selector, difference_interval, selected

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

NULLS = PROJECT / "resources" / "nulls.yaml"
COLUMNS = ("null", "evaluation", "verdict", "measured", "chance", "difference", "ci_low", "ci_high", "compared", "unit")
AT, OFF, MISSING = "at chance", "off chance", "not measured"


class Null(Strict):
    """A score that should be at its chance level."""

    text: str
    where: dict[str, Any] = Field(description="which score (see claims.yaml)")
    chance: dict[str, Any] | float = Field(
        description="a constant, or what the selector of its chance level has besides"
    )
    within: float = Field(default=0.0, ge=0, description="difference that is still chance")

    @model_validator(mode="after")
    def _selects(self) -> Self:
        Selector.model_validate(self.where)
        if isinstance(self.chance, dict):
            Selector.model_validate({**self.where, **self.chance})
        return self


def read(path: Path = NULLS) -> list[Null]:
    """Read the nulls.

    Raises
    ------
    UnweaveError
        if the file is missing or malformed.
    """
    return read_checked(path, list[Null])


def table(nulls: "Iterable[Null]", scores: "pd.DataFrame") -> "pd.DataFrame":
    """One row for every null: at chance if the interval of its difference comes within `within` of zero.

    Over layers and corpora the mean counts, with the mean of the intervals.
    """
    import pandas as pd

    rows = []
    for null in nulls:
        measured = selected(scores, Selector.model_validate(null.where))
        row: dict[str, Any] = {"null": null.text, "evaluation": null.where["evaluation"], "verdict": MISSING}
        if isinstance(null.chance, dict):
            chance = _mean(selected(scores, Selector.model_validate({**null.where, **null.chance})))
        else:
            chance = (null.chance, null.chance, null.chance)
        value = _mean(measured)
        if value is not None and chance is not None:
            difference, low, high = difference_interval(value, chance)
            inside = low <= null.within and high >= -null.within
            row |= {"verdict": AT if inside else OFF, "measured": value[0], "chance": chance[0]}
            row |= {"difference": difference, "ci_low": low, "ci_high": high, "compared": len(measured)}
            row |= {"unit": str(measured["unit"].iloc[0])}
        rows.append(row)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _mean(found: "pd.DataFrame") -> tuple[float, float, float] | None:
    if found.empty:
        return None
    value, low, high = (float(found[column].mean()) for column in ("value", "ci_low", "ci_high"))
    return value, low, high
