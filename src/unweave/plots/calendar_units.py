"""Codes of the units that hold a calendar: along prompts, and on their principal components (SASA, Figure 3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, drawn, measured, middle_layer, subject, title
from unweave.plots.sentences import bullets, claim, grid
from unweave.results.references import References

ITEM = "fig3_calendar"
UNIT_LINES: dict[str, Any] = {"weekday": "-", "month": (0, (3, 1.2))}
UNIT_MARKERS = {"weekday": "o", "month": "s"}
PROMPT_INCHES, SCATTER_INCHES = 1.25, 2.4


@style.house()
def draw(
    scores: pd.DataFrame, titles: Titles, references: References, arms: Sequence[str]
) -> tuple[Figure, pd.DataFrame]:
    """Norms of the units of the first arm along prompts, and principal components of the units of all `arms`.

    Parameters
    ----------
    scores
        Rows of the temporal-geometry evaluation. Of several layers the middle one is shown.

    Raises
    ------
    UnweaveError
        if an arm was not evaluated.
    """
    model = subject(scores)
    here = middle_layer(scores)
    if missing := [arm for arm in arms if arm not in set(here["method"])]:
        raise UnweaveError(f"no units of {', '.join(missing)}: add it to the methods of temporal-geometry")
    norms = measured(here[here["method"] == arms[0]], "norm")
    prompts = sorted(norms["x_name"].unique())
    look = style.look(arms[0])
    terms = {family: _terms(here, family) for family in UNIT_LINES}
    colours = {
        name: colour
        for names in terms.values()
        for name, colour in zip(names, sns.husl_palette(len(names), l=0.55), strict=True)
    }
    handles = [
        Line2D([], [], color=look.colour, linestyle=line, label=f"unit of the {family}s")
        for family, line in UNIT_LINES.items()
    ] + [
        Line2D([], [], color=colours[name], marker=UNIT_MARKERS[family], linestyle="none", markersize=4, label=name)
        for family, names in terms.items()
        for name in names
    ]
    heights = [0.25, *([PROMPT_INCHES] * len(prompts)), *([SCATTER_INCHES] * len(arms))]
    remark = f"{references.remark(model, title(titles, 'models', model))}; layer {here['layer'].iloc[0]}"
    top, *frames = sheet(heights, handles, remark)
    top.heading(f"A  {title(titles, 'methods', arms[0])}: norm of two units along prompts")
    for prompt, frame in zip(prompts, frames, strict=False):
        (ax,) = frame.axes(1, top=0.06, bottom=0.55)
        _norms(ax, norms[norms["x_name"] == prompt], look.colour, norms["value"].max())
    parts = {"A": norms}
    for letter, arm, frame in zip("BCDE", arms, frames[len(prompts) :], strict=False):
        own = here[here["method"] == arm]
        frame.heading(f"{letter}  {title(titles, 'methods', arm)}: principal components of the codes of each unit")
        for family, ax in zip(UNIT_LINES, frame.axes(2, top=0.42, bottom=0.55, gap=(0.6, 0)), strict=True):
            _scatter(ax, own[own["dataset"] == family], family, colours)
        shown = ("first_component", "second_component", "explained_by_component")
        parts[letter] = pd.concat([measured(own, metric) for metric in shown])
    return top.figure, drawn(parts, titles)


def _terms(scores: pd.DataFrame, family: str) -> list[str]:
    """Terms in the order of the calendar, which is that of the sentences."""
    return list(dict.fromkeys(measured(scores, "first_component", dataset=family).sort_values("x")["label"]))


def _norms(ax: Axes, rows: pd.DataFrame, colour: str, largest: float) -> None:
    for family, line in UNIT_LINES.items():
        own = measured(rows, "norm", dataset=family)
        ax.plot(own["x"], own["value"], color=colour, linestyle=line, linewidth=1.2, marker="o", markersize=2.5)
    texts = style.token_labels(measured(rows, "norm", dataset="weekday")["label"])
    ax.set_xticks(range(len(texts)), texts, rotation=30, ha="right", rotation_mode="anchor")
    ax.set(ylabel="norm", xlim=(-0.5, len(texts) - 0.5), ylim=(-0.05 * largest, 1.08 * largest))


def _scatter(ax: Axes, rows: pd.DataFrame, family: str, colours: dict[str, tuple[float, float, float]]) -> None:
    places = pd.DataFrame(
        {
            name: measured(rows, f"{name}_component").set_index("x")["value"]
            for name in ("first", "second")
            if (rows["metric"] == f"{name}_component").any()
        }
    ).assign(term=measured(rows, "first_component").set_index("x")["label"])
    if "second" not in places:
        places["second"] = 0.0
    centres = places.groupby("term", sort=False)[["first", "second"]].mean()
    around = pd.concat([centres, centres.head(1)])
    ax.plot(around["first"], around["second"], color=style.MUTED, linewidth=0.7, zorder=1)
    for term, own in places.groupby("term", sort=False):
        ax.plot(
            own["first"],
            own["second"],
            UNIT_MARKERS[family],
            color=colours[str(term)],
            markersize=3.5,
            markeredgewidth=0,
            alpha=0.85,
        )
    shares = [*measured(rows, "explained_by_component")["value"].tolist(), 0.0]
    ax.set_title(f"{family}s", fontsize=style.TEXT)
    ax.set(xlabel=f"component 1 ({shares[0]:.0%} of variance)", ylabel=f"component 2 ({shares[1]:.0%})")


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the components explain and how the units tell terms from other tokens of the prompts."""
    shares = measured(data, "explained_by_component")
    rows = [
        [str(name), f"{family}s", ", ".join(f"{value:.2f}" for value in own["value"])]
        for (name, family), own in shares.groupby(["title", "dataset"], sort=False)
    ]
    lines = []
    for family, own in measured(data, "norm").groupby("dataset", sort=False):
        terms = set(data.loc[(data["metric"] == "first_component") & (data["dataset"] == family), "label"])
        is_term = own["label"].str.strip().isin(terms)
        at, elsewhere = own.loc[is_term, "value"], own.loc[~is_term, "value"]
        if len(at) and len(elsewhere):
            lines.append(
                f"The unit of the {family}s of {own['title'].iloc[0]} has norm {at.mean():.3g} on average at the "
                f"{len(at)} {family}s of the prompts, {elsewhere.mean():.3g} at their other {len(elsewhere)} tokens "
                f"({np.max(elsewhere):.3g} at most)"
            )
    lines.append(
        "The grey line joins the means of the terms in the order of the calendar; `fig3_temporal` tests the order"
    )
    header = ["arm", "family", "share of variance of components 1, 2, 3"]
    return "\n".join([claim(references, ITEM), grid(header, rows), bullets(lines)])
