"""What the papers claim (resources/claims.yaml), each tested on the score tables of a run.

A claim compares two numbers, or one with a constant. Their difference has the interval that their own intervals imply
(MOVER: Zou and Donner 2008, Statistics in Medicine 27, 1693), which is right for independent errors and too wide for
errors that go together. Over layers and corpora the mean difference counts, with the mean of the intervals.

A claim holds if the whole interval lies on the claimed side of zero by at least `by`, fails if the whole interval lies
short of that, and is undecided otherwise. Two sides that are exactly equal (all zero, say) decide nothing either, nor
does a mean over layers or corpora of which some hold and others fail.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from unweave.config import PROJECT, Strict, read_checked

if TYPE_CHECKING:
    import pandas as pd

CLAIMS = PROJECT / "resources" / "claims.yaml"
Verdict = Literal["holds", "fails", "undecided", "not testable here"]
COLUMNS = (
    *("claim", "paper", "text", "published", "verdict", "difference", "ci_low", "ci_high", "by", "direction"),
    *("left", "right", "compared", "n", "unit", "reason"),
)


class Selector(Strict):
    """Which number of the score tables."""

    evaluation: str
    metric: str
    method: str
    label: str = ""
    dataset: str | None = Field(default=None, description="null for every corpus that both sides have")
    x_name: str = ""
    x: float | None = None
    layer: int | None = Field(default=None, description="null for every layer that both sides have")
    site: str | None = Field(default=None, description="null for every site that the method was fitted at")
    trained: bool = Field(default=True, description="false for the language model with random weights")


class Void(Strict):
    """What makes a side say nothing, whatever its number."""

    metric: str = Field(description="of the same evaluation, beside the number of the side")
    above: float
    because: str = Field(description="what is the matter then")


class Test(Strict):
    """Comparison of two numbers."""

    where: dict[str, Any] = Field(default={}, description="what the selectors of both sides have in common")
    left: dict[str, Any] = Field(description="what the left side has besides")
    right: dict[str, Any] | float = Field(description="what the right side has besides, or a constant")
    direction: Literal["higher", "lower"] = Field(description="where the left side is claimed to be")
    by: float = Field(
        default=0.0, description="smallest difference that counts; negative for how far `at least as` may fall short"
    )
    void: Void | None = Field(default=None, description="when the numbers of the sides say nothing")

    @model_validator(mode="after")
    def _selects(self) -> Self:
        Selector.model_validate({**self.where, **self.left})
        if isinstance(self.right, dict):
            Selector.model_validate({**self.where, **self.right})
        return self


class Claim(Strict):
    """One empirical statement of a paper."""

    paper: Literal["ica", "bae", "snmf", "sasa"]
    text: str = Field(description="the statement in our words")
    published: str | None = Field(default=None, description="the number behind it, null where it is not known")
    where_printed: str = Field(description="section, figure or table")
    test: Test | None = None
    not_testable: str | None = Field(default=None, description="why it cannot be tested at this scale")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.test is None) == (self.not_testable is None):
            raise ValueError("give either `test` or `not_testable`")
        return self


def read(path: Path = CLAIMS) -> dict[str, Claim]:
    """Read the claims by their key.

    Raises
    ------
    unweave.errors.UnweaveError
        if the file is missing or malformed.
    """
    return read_checked(path, dict[str, Claim])


def difference_interval(
    left: tuple[float, float, float], right: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Difference of two (value, low, high) with its interval, by MOVER; an exact number has its value as both ends."""
    (a, a_low, a_high), (b, b_low, b_high) = left, right
    return a - b, a - b - math.hypot(a - a_low, b_high - b), a - b + math.hypot(a_high - a, b - b_low)


def verdict(low: float, high: float, direction: str, by: float) -> Verdict:
    """Judge a difference by its interval."""
    if low == high == 0:
        return "undecided"
    if direction == "lower":
        low, high = -high, -low
    if low > by:
        return "holds"
    return "fails" if high <= by else "undecided"


def selected(scores: "pd.DataFrame", selector: Selector) -> "pd.DataFrame":
    """Rows (layer, dataset, value, ci_low, ci_high, n, unit) that a selector names; exact numbers have no width."""
    rows = scores[scores["revision"].str.contains("random weights") != selector.trained]
    for name, wanted in selector.model_dump(exclude={"x", "trained"}).items():
        if wanted is not None:
            rows = rows[rows[name] == wanted]
    rows = rows[rows["x"].isna()] if selector.x is None else rows[rows["x"] == selector.x]
    kept = rows[["site", "layer", "dataset", "value", "ci_low", "ci_high", "n", "unit"]]
    return kept.assign(ci_low=kept["ci_low"].fillna(kept["value"]), ci_high=kept["ci_high"].fillna(kept["value"]))


def judged(key: str, claim: Claim, scores: "pd.DataFrame") -> dict[str, Any]:
    """One row of the scorecard, with the columns of COLUMNS."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {"claim": key, "paper": claim.paper, "text": claim.text, "published": claim.published}
    row |= {"verdict": "not testable here", "reason": claim.not_testable}
    if claim.test is None:
        return row
    test = claim.test
    row |= {"by": test.by, "direction": test.direction}
    sides = [Selector.model_validate({**test.where, **test.left})]
    row["left"], row["right"] = _name({**test.where, **test.left}, test), ""
    left = selected(scores, sides[0])
    if isinstance(test.right, dict):
        sides.append(Selector.model_validate({**test.where, **test.right}))
        right = selected(scores, sides[1])
        shared = [name for name in ("layer", "dataset") if name not in test.right and name not in test.left]
        names = ("", "_right")
        pairs = left.merge(right, on=shared, suffixes=names) if shared else left.merge(right, "cross", suffixes=names)
        row["right"] = _name({**test.where, **test.right}, test)
    else:
        constant = test.right
        pairs = left.assign(value_right=constant, ci_low_right=constant, ci_high_right=constant)
        row["right"] = f"{constant:g}"
    if pairs.empty:
        return row | {"reason": f"no scores of {row['left']} beside {row['right']} in this run"}
    said_nothing = _void(scores, sides, test.void)
    if said_nothing:
        return row | {"reason": said_nothing}
    found = [
        difference_interval(
            (pair["value"], pair["ci_low"], pair["ci_high"]),
            (pair["value_right"], pair["ci_low_right"], pair["ci_high_right"]),
        )
        for pair in pairs.to_dict("records")
    ]
    value, low, high = (sum(part) / len(found) for part in zip(*found, strict=True))
    parts = [verdict(low, high, test.direction, test.by) for _, low, high in found]
    holding, failing = parts.count("holds"), parts.count("fails")
    apart = bool(holding and failing)
    return row | {
        "verdict": "undecided" if apart else verdict(low, high, test.direction, test.by),
        "reason": f"holds in {holding} and fails in {failing} of {len(parts)}" if apart else None,
        "difference": value,
        "ci_low": low,
        "ci_high": high,
        "compared": len(found),
        "n": int(pairs["n"].min()),
        "unit": str(pairs["unit"].iloc[0]),
    }


def _void(scores: "pd.DataFrame", sides: list[Selector], void: Void | None) -> str:
    """Why the sides say nothing, empty if they do."""
    if void is None:
        return ""
    for side in sides:
        values = selected(scores, side.model_copy(update={"metric": void.metric}))["value"]
        if len(values) and values.max() > void.above:
            at = "" if side.x is None else f" at {side.x_name} = {side.x:g}"
            return f"{void.because}: {void.metric} {values.max():.2f}{at}"
    return ""


def _name(selector: Mapping[str, Any], test: Test) -> str:
    """Say what tells one side from the other, and what is measured."""
    varies = {*test.left, *(test.right if isinstance(test.right, dict) else ())}
    parts = [str(selector[name]) for name in ("method", "metric", "label", "dataset") if name in varies]
    if "x" in varies:
        parts.append(f"{selector.get('x_name', 'x')} = {selector['x']:g}")
    return ", ".join(part or "the arm itself" for part in parts) or str(selector["metric"])


def scorecard(claims: Mapping[str, Claim], scores: "pd.DataFrame") -> "pd.DataFrame":
    """Table with one row for every claim."""
    import pandas as pd

    return pd.DataFrame([judged(key, claim, scores) for key, claim in claims.items()], columns=list(COLUMNS))
