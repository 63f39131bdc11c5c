"""Neurons that features of a calendar share, pair by pair (SNMF, Figure 5)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.comparison import Selection
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import grid
from unweave.results.references import References

WITHIN, BEYOND = "", "with features of no term"
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
    model = Selection.of(scores, titles).model
    share = "share of the neurons of two features that both have"
    handle = Line2D([], [], color=style.MUTED, marker="s", linestyle="", label=share)
    (frame,) = sheet([3.9], [handle], references.remark(model, title(titles, "models", model)))
    axes = frame.axes(len(families), left=0.85, bottom=0.85, gap=(0.95, 0))
    for ax, family in zip(axes, families, strict=True):
        _map(ax, rows[rows["dataset"] == family], family)
    named = rows.assign(title=[title(titles, "methods", method)] * len(rows))
    return frame.figure, drawn({"A": named}, titles)


def _map(ax: Axes, rows: pd.DataFrame, family: str) -> None:
    values = {
        frozenset(str(label).split("|")): value for label, value in zip(rows["label"], rows["value"], strict=True)
    }
    names = [name for name in ORDER[family] if any(name in pair for pair in values)]
    table = np.array([[values.get(frozenset((one, other)), np.nan) for other in names] for one in names])
    image = ax.imshow(table, cmap="viridis", vmin=0)
    ax.grid(visible=False)
    short = [name[:3] for name in names]
    ax.set_xticks(range(len(names)), short, rotation=90)
    ax.set_yticks(range(len(names)), short)
    ax.set_title(f"{family}s (0 to {np.nanmax(table):.2f})")
    ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.04)


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
                *(_number(by_label[label]) for label in (WITHIN, BEYOND)),
            ]
        )
    return grid(["family", "arm", "overlap within the family", "with features of no term"], cells)


def _number(row: pd.Series) -> str:
    return f"{row['value']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})"
