"""How well few features tell the classes of texts apart (ICA Lens v2, sparse probing)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from textwrap import shorten
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import THIS_RUN, Titles, drawn, measured, subject, title
from unweave.plots.sentences import bullets, claim, fair_pairs, grid, leads, span, with_interval
from unweave.results.references import References

ITEM = "sparse_probing"
MEAN = "all"
RANDOM, SHUFFLED, RAW = "random coordinates", "shuffled labels", "raw activations"
FEW = (1, 10)
"""Feature counts that the text reports."""
LIMITS = (0.44, 1.01)
CHANCE = 0.5
ACROSS = 4
"""Most panels side by side."""
LEGEND_ROOM = 0.22
CONTROL: Any = ":"
ALL: Any = "-."
BAND = "#BDBDBD"


@dataclass(frozen=True)
class Part:
    """One row of panels: what stands above it, how a panel is drawn, and of which rows, by the values of one column."""

    heading: str
    draw: Callable[[Axes, pd.DataFrame], None]
    rows: pd.DataFrame
    key: str
    titles: dict[Any, str]
    """Value of the column `key` to the title of its panel."""


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """Accuracy against k: mean of the data sets by layer with controls, each data set, and the paper's curves.

    Parameters
    ----------
    scores
        Rows of the sparse-probing evaluation, for any layers, methods and corpora.
    """
    model = subject(scores)
    accuracy = measured(scores, "accuracy", x_name="k")
    by_layer = measured(accuracy, "accuracy", dataset=MEAN)
    focus = by_layer.groupby("layer")["method"].nunique().idxmax()
    by_dataset = accuracy[(accuracy["dataset"] != MEAN) & (accuracy["layer"] == focus) & (accuracy["label"] == "")]
    published = _published_curves(references)
    names = {key: title(titles, "datasets", key) for key in by_dataset["dataset"].unique()}
    mean = f"mean of {len(names)} data sets" if len(names) > 1 else names[by_dataset["dataset"].iloc[0]]
    source = f"Published, other models, mean of two layers (arXiv {references.arxiv})"
    parts = [
        Part(
            f"By layer, {mean}", _with_controls, by_layer, "layer", {key: f"layer {key}" for key in by_layer["layer"]}
        ),
        Part(f"Each data set, layer {focus}", _curves, by_dataset, "dataset", names),
        Part(
            source, _published, published, "model", dict(zip(published["model"], published["model_title"], strict=True))
        ),
    ]
    if len(names) == 1:
        del parts[1]
    heights = [0.25 + 1.9 * ceil(len(part.titles) / ACROSS) for part in parts]
    heights[-1] += LEGEND_ROOM
    handles = [*style.arms(accuracy["method"], titles.get("methods", {})), *_control_handles()]
    frames = sheet(heights, handles, references.remark(model, title(titles, "models", model)))
    panels = dict(zip("ABC", parts, strict=False))
    for (letter, part), frame in zip(panels.items(), frames, strict=True):
        frame.heading(f"{letter}  {part.heading}")
        columns = max(2, min(len(part.titles), ACROSS))
        bottom = 0.5 if part.draw is not _published else 0.5 + LEGEND_ROOM
        axes = frame.axes(
            columns, ceil(len(part.titles) / columns), top=0.45, bottom=bottom, gap=(0.15, 0.65), sharey=True
        )
        for unused in axes[len(part.titles) :]:
            unused.remove()
        axes[0].set_ylabel("test accuracy")
        for (key, name), ax in zip(part.titles.items(), axes, strict=False):
            part.draw(ax, part.rows[part.rows[part.key] == key])
            ax.set_title(shorten(name, 90 // columns, placeholder="…"), fontsize=style.TEXT)
            ax.set_xlabel("features, k")
    theirs = style.published_arms(published["method"], references.methods)
    frames[-1].legend(theirs, columns=len(theirs))
    gain = measured(scores, "accuracy_gain", dataset=MEAN)
    return frames[0].figure, drawn({letter: part.rows for letter, part in panels.items()} | {"text": gain}, titles)


def _published_curves(references: References) -> pd.DataFrame:
    """Mean of the two layers that the paper probed of each model."""
    table = references.table(ITEM)
    return table[(table["metric"] == "accuracy") & table["layers"].str.contains(" ")].dropna(subset="value")


def _axis(ax: Axes, rows: pd.DataFrame) -> None:
    style.counts_axis(ax, rows["x"])
    ax.axhline(CHANCE, color=style.MUTED, linewidth=0.6, zorder=1)
    ax.set_yticks([tick / 10 for tick in range(5, 11)])
    ax.set_ylim(*LIMITS)


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    curves = rows[rows["label"] == ""]
    for method in style.in_order(curves["method"]):
        style.curve(ax, curves[curves["method"] == method], style.look(method))
    _axis(ax, curves)


def _with_controls(ax: Axes, rows: pd.DataFrame) -> None:
    """Curves of all arms; the controls of those on raw rows; one band around all curves of shuffled labels."""
    for method in style.in_order(rows["method"]):
        random = rows[(rows["method"] == method) & (rows["label"] == RANDOM)]
        if style.look(method).line == "-":
            ax.plot(random["x"], random["value"], color=style.look(method).colour, linestyle=CONTROL, linewidth=1)
    shuffled = rows[rows["label"] == SHUFFLED].groupby("x")["value"].agg(["min", "max"])
    ax.fill_between(shuffled.index, shuffled["min"], shuffled["max"], color=BAND, linewidth=0)
    for value in rows.loc[rows["label"] == RAW, "value"].drop_duplicates():
        ax.axhline(value, color=style.MUTED, linestyle=ALL, linewidth=1)
    _curves(ax, rows)


def _published(ax: Axes, rows: pd.DataFrame) -> None:
    for method in style.in_order(rows["method"]):
        style.published_curve(ax, rows[rows["method"] == method], method)
    _axis(ax, rows)


def _control_handles() -> list[Artist]:
    return [
        Line2D([], [], color=style.MUTED, linestyle=ALL, linewidth=1, label="all raw dimensions"),
        Line2D([], [], color=style.MUTED, linestyle=CONTROL, linewidth=1, label="k random coordinates"),
        Patch(color=BAND, label="shuffled labels"),
    ]


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the table behind the figure shows, beside what the paper says."""
    ours, published = data[data["source"] == THIS_RUN], data[data["source"] != THIS_RUN]
    return "\n".join(
        [claim(references, ITEM), _grid(ours), _published_grid(published, references), bullets(_sentences(ours))]
    )


def _grid(ours: pd.DataFrame) -> str:
    means = ours[(ours["panel"] == "A") & (ours["label"] == "") & ours["x"].isin(FEW)]
    rows = [
        [f"{arm['title'].iloc[0]}, layer {layer}", *(_cell(arm, k) for k in FEW)]
        for layer in sorted(means["layers"].unique(), key=int)
        for here in [means[means["layers"] == layer]]
        for method in style.in_order(here["method"])
        for arm in [here[here["method"] == method]]
    ]
    return grid(["this run: accuracy, mean of the data sets", *(f"k = {k}" for k in FEW)], rows)


def _published_grid(published: pd.DataFrame, references: References) -> str:
    arms, k = style.in_order(published["method"]), FEW[-1]
    rows = [
        [references.models[str(model)], *(_cell(here[here["method"] == arm], k) for arm in arms)]
        for model, here in published.groupby("model", sort=False)
    ]
    return grid([f"published: accuracy at k = {k}", *(references.methods[arm] for arm in arms)], rows)


def _cell(rows: pd.DataFrame, k: int) -> str:
    at_k = rows[rows["x"] == k]
    if at_k.empty:
        return ""
    row = at_k.iloc[0]
    return with_interval(row[["value", "ci_low", "ci_high"]], ".3f")


def _sentences(ours: pd.DataFrame) -> list[str]:
    means = ours[ours["panel"] == "A"]
    titles = dict(zip(ours["method"], ours["title"], strict=True))
    curves = means[means["label"] == ""]
    lines = []
    for arm, other in fair_pairs(curves["method"]):
        own, others = (curves[curves["method"] == method] for method in (arm, other))
        ahead, behind, level = leads(own, others, ["layers", "x"])
        if not (compared := ahead + behind + level):
            continue
        lines.append(
            f"{titles[arm]} against {titles[other]}, all k and layers: higher in {ahead} of {compared} comparisons, "
            f"lower in {behind}, intervals overlap in the rest"
        )
    gain = ours[(ours["panel"] == "text") & ours["x"].isin(FEW)]
    for k, at_k in gain.groupby("x"):
        parts = [
            f"{titles[method]} {span(at_k.loc[at_k['method'] == method, 'value'], '+.3f')}"
            for method in style.in_order(at_k["method"])
        ]
        lines.append(
            f"What choosing features gains over random coordinates of the same arm at k = {k:g}: " + "; ".join(parts)
        )
    shuffled = means.loc[means["label"] == SHUFFLED, "value"]
    if not shuffled.empty:
        lines.append(f"With shuffled labels every arm stays at {span(shuffled)} (chance: {CHANCE:g})")
    return lines
