"""Neurons that features of a calendar share, pair by pair (SNMF, Figure 5)."""

from string import ascii_uppercase

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.panel import Selection
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import grid, with_interval
from unweave.results.references import References

NUMBERS = ["value", "ci_low", "ci_high"]
WITHIN, BEYOND = "", "with features of no term"
SHADES = ("#FFFFFF", "#7A2E5D")
"""From no overlap to the largest."""
ORDER = {
    "weekday": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"],
    "month": [
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ],
}


@style.house()
def draw(
    scores: pd.DataFrame, titles: Titles, references: References, method: str = "snmf"
) -> tuple[Figure, pd.DataFrame]:
    """Heat-maps of the Jaccard overlap of the neurons of features, one for each family.

    Raises
    ------
    UnweaveError
        if no pair of features was measured.
    """
    rows = scores[(scores["metric"] == "overlap") & (scores["method"] == method)]
    families = [family for family in ORDER if family in set(rows["dataset"])]
    if not families:
        raise UnweaveError(f"no overlap of neurons of {method}: add neuron-groups to the configuration")
    selection = Selection.of(scores, titles)
    model, arm = selection.model, title(titles, "methods", method)
    means = scores[(scores["metric"] == "mean_overlap") & (scores["method"] == method)]
    handles = [Patch(facecolor=style.MISSING, label="the feature itself")]
    remark = f"{references.remark(model, title(titles, 'models', model))}; {arm}, layer {selection.layer}"
    (frame,) = sheet([3.5], handles, remark)
    axes = frame.axes(len(families), left=0.55, bottom=0.5, top=0.5, gap=(1.0, 0), right=0.75)
    parts = {}
    for letter, ax, family in zip(ascii_uppercase, axes, families, strict=False):
        of_family = rows[rows["dataset"] == family]
        values = means[means["dataset"] == family].set_index("label")["value"]
        said = f"mean {values[WITHIN]:.3f}, with features of no term {values[BEYOND]:.3f}"
        _map(ax, of_family, family, f"{letter}  {family.capitalize()}s\n     {said}")
        parts[letter] = of_family.assign(title=arm)
    return frame.figure, drawn(parts, titles)


def _map(ax: Axes, rows: pd.DataFrame, family: str, heading: str) -> None:
    values = {
        frozenset(str(label).split("|")): value for label, value in zip(rows["label"], rows["value"], strict=True)
    }
    names = [name for name in ORDER[family] if any(name in pair for pair in values)]
    table = np.array([[values.get(frozenset((one, other)), np.nan) for other in names] for one in names])
    image = ax.imshow(table, cmap=style.ramp(*SHADES), vmin=0)
    ax.grid(visible=False)
    short = [name[:3] for name in names]
    ax.set_xticks(range(len(names)), short, rotation=90)
    ax.set_yticks(range(len(names)), short)
    ax.set_title(heading)
    ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04).set_label("Jaccard overlap of neurons")


def findings(scores: pd.DataFrame, titles: Titles) -> str:
    """Mean overlap within a family and with features of no term, as a Markdown table."""
    rows = scores[scores["metric"] == "mean_overlap"]
    cells = []
    for (family, method), part in rows.groupby(["dataset", "method"], sort=False):
        by_label = {str(row["label"]): row for _, row in part.iterrows()}
        cells.append(
            [
                str(family),
                title(titles, "methods", str(method)),
                *(with_interval(by_label[label][NUMBERS], ".3f") for label in (WITHIN, BEYOND)),
            ]
        )
    return grid(["family", "arm", "overlap within the family", "with features of no term"], cells)
