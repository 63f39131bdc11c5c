"""Every method by every evaluation: where each lens wins and loses."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import LETTER, sheet
from unweave.plots.panel import Panel, Selection
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import grid

RECONSTRUCTED = "without the first position"
ROW, TOP = 0.2, 1.6
SHADES = ("#0F4C81", "#FFFFFF")
"""From the best rank to the last."""
UNRANKED = "#FFF6DC"
DIGITS = 2
"""Decimals of the numbers in the cells."""


@dataclass(frozen=True)
class Criterion:
    """One column: what is compared, and which side is better (None for a budget, which is no merit)."""

    panel: Panel
    higher: bool | None


def _of(metric: str, heading: str, higher: bool | None, **selection: object) -> Criterion:
    return Criterion(Panel(metric, heading, heading, **selection), higher)  # type: ignore[arg-type]


CRITERIA = [
    _of("parameter_size", "MiB", None),
    _of("l0", "L0", None, label=RECONSTRUCTED),
    _of("fve", "variance explained", True, label=RECONSTRUCTED),
    _of("ce_recovered", "loss recovered", True, label=RECONSTRUCTED),
    _of("accuracy", "probe of 1 code, AG News", True, x_name="k", at=1, dataset="ag-news"),
    _of("accuracy", "probe of 20 codes, AG News", True, x_name="k", at=20, dataset="ag-news"),
    _of("tpp", "TPP, 10 features", True, x_name="n", at=10),
    _of("scr", "SCR, 20 features", True, x_name="n", at=20),
    _of("absorption_fraction", "absorption ↓", False),
    _of("auroc", "concept detection", True),
    _of("simulation", "simulation", True, x_name="predicates", at=10),
    _of("comsem", "ComSem", True),
    _of("matched_similarity", "seed stability", True),
    _of("mcc_atoms", "planted atoms", True, dataset="sparse"),
    _of("circular_r2", "weekday circle, no interval", True, dataset="weekday"),
]


def table_of(scores: pd.DataFrame, titles: Titles) -> tuple[Selection, pd.DataFrame]:
    """Rows of every criterion with the columns `rank` (1 is best; ties share the mean) and `tied` with the best.

    What is the same as printed has the same rank. Two arms are tied where their intervals overlap; without intervals
    nobody is said to be. Criteria that nothing was measured by are left out.

    Raises
    ------
    UnweaveError
        if none was.
    """
    own = scores[~scores["revision"].str.contains("random weights")]
    selection = Selection.of(own, titles)
    tables = []
    for number, criterion in enumerate(CRITERIA):
        try:
            rows = selection.rows(criterion.panel, criterion.panel.label)
        except UnweaveError:
            continue
        sign = {True: -1.0, False: 1.0, None: 1.0}[criterion.higher]
        merit = sign * rows["value"].round(DIGITS)
        low, high = rows["ci_low"].round(DIGITS), rows["ci_high"].round(DIGITS)
        best = int(merit.to_numpy().argmin())
        tables.append(
            rows.assign(
                criterion=number,
                heading=criterion.panel.title,
                rank=merit.rank() if criterion.higher is not None else np.nan,
                tied=(low <= high.iloc[best]) & (high >= low.iloc[best]) if criterion.higher is not None else False,
            )
        )
    if not tables:
        raise UnweaveError("no scores of any criterion of the comparison: add evaluations to the configuration")
    return selection, pd.concat(tables, ignore_index=True)


@style.house()
def draw(scores: pd.DataFrame, titles: Titles) -> tuple[Figure, pd.DataFrame]:
    """Values of every arm by every criterion, shaded by rank; bold where tied with the best."""
    selection, table = table_of(scores, titles)
    arms = [arm for arm in selection.arms if arm in set(table["arm"])]
    headings = list(dict.fromkeys(table.sort_values("criterion", kind="stable")["heading"]))
    left = 0.15 + LETTER * max(len(selection.titles[arm]) for arm in arms)
    handles = [
        Patch(facecolor=SHADES[0], label="best rank of the column"),
        Patch(facecolor=SHADES[1], edgecolor=style.MUTED, label="last rank; bold: tied with the best"),
        Patch(facecolor=UNRANKED, edgecolor=style.MUTED, label="budget, not ranked"),
        Patch(facecolor=style.MISSING, label="not measured"),
    ]
    model = title(titles, "models", selection.model)
    frames = sheet(
        [TOP + 0.1 + ROW * len(arms)],
        handles,
        f"{model}, a small stand-in; layer {selection.layer}; ↓: lower is better",
    )
    (ax,) = frames[0].axes(1, left=left, top=TOP, bottom=0.05)
    _cells(ax, table, arms, headings)
    ax.set_yticks(range(len(arms)), [selection.titles[arm] for arm in arms])
    shown = table.assign(label=table["heading"])
    csv = drawn({"A": shown}, titles)
    return frames[0].figure, csv.assign(rank=table["rank"].to_numpy(), tied=table["tied"].to_numpy())


def _cells(ax: Axes, table: pd.DataFrame, arms: Sequence[str], headings: Sequence[str]) -> None:
    shade = np.full((len(arms), len(headings)), np.nan)
    for row in table.to_dict("records"):
        y, x = arms.index(row["arm"]), headings.index(row["heading"])
        ranked = table[table["heading"] == row["heading"]]["rank"]
        if np.isnan(row["rank"]):
            ax.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=UNRANKED, linewidth=0))
        else:
            shade[y, x] = (row["rank"] - 1) / max(len(ranked) - 1, 1)
        dark = shade[y, x] < 0.45
        ax.text(
            x,
            y,
            _short(row["value"]),
            ha="center",
            va="center",
            fontsize=style.TEXT - 2,
            color="white" if dark else "black",
            fontweight="bold" if row["tied"] else "normal",
        )
    ax.imshow(shade, cmap=style.ramp(*SHADES), vmin=0, vmax=1, aspect="auto")
    ax.set_xticks(range(len(headings)), headings, rotation=90)
    ax.tick_params(axis="x", top=True, bottom=False, labeltop=True, labelbottom=False, length=0)
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False)


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.{DIGITS}f}".replace("0.", ".", 1)


def printed(data: pd.DataFrame) -> pd.DataFrame:
    """Cells of the table: values, with a star where tied with the best."""
    stars = data["tied"].map({True: "*", False: ""})
    cells = data.assign(cell=[f"{value:.3g}{star}" for value, star in zip(data["value"], stars, strict=True)])
    table = cells.pivot(index="title", columns="label", values="cell")
    order, headings = list(dict.fromkeys(data["title"])), list(dict.fromkeys(data["label"]))
    return table.loc[order, headings].rename_axis("arm").rename_axis(None, axis=1).reset_index()


def findings(data: pd.DataFrame) -> str:
    """Say in Markdown who is best by each criterion and who is tied with it, and the mean rank of each arm."""
    ranked = data.dropna(subset=["rank"])
    best = [
        [
            str(heading),
            ", ".join(part.sort_values("rank")["title"].head(1)),
            f"{part.sort_values('rank')['value'].iloc[0]:.3g}",
            ", ".join(part[part["tied"]].sort_values("rank")["title"].iloc[1:]) or "nobody",
        ]
        for heading, part in ranked.groupby("label", sort=False)
    ]
    share = ranked.assign(share=(ranked["rank"] - 1) / (ranked.groupby("label")["rank"].transform("count") - 1).clip(1))
    means = share.groupby("title")["share"].agg(["mean", "count"]).sort_values("mean", kind="stable")
    ranks = [[str(name), f"{row['mean']:.2f}", f"{row['count']:.0f}"] for name, row in means.iterrows()]
    return "\n".join(
        [
            grid(["criterion", "best", "value", "tied with it"], best),
            grid(["arm", "mean relative rank (0 best, 1 last)", "criteria"], ranks),
        ]
    )
