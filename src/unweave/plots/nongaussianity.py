"""How non-Gaussian the activations are along each method's directions, layer by layer (ICA Lens v2, figure 3)."""

from itertools import pairwise
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import HELDOUT, UNFILTERED, Titles, corpora, drawn, measured, subject, title
from unweave.plots.sentences import bullets, claim, count_leads, fair_pairs, grid, span
from unweave.results.references import References

ITEM = "fig3_nongaussianity"
MEDIAN = 0.5


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """Mean excess kurtosis by layer, and its spread over directions.

    Parameters
    ----------
    scores
        Rows of the non-Gaussianity evaluation, for any layers, methods and corpora.
    """
    model = subject(scores)
    judged, fitted = corpora(scores)
    means = measured(scores, "excess_kurtosis", x_name="")
    spread = measured(scores, "excess_kurtosis", x_name="quantile", dataset=judged)
    methods = style.in_order(scores["method"])
    handles = style.arms(methods, titles.get("methods", {}))
    if fitted is not None:
        handles += [_note("held-out text", style.MUTED), _note("text of the fit", "white")]
    unfiltered = means[means["dataset"] == judged + UNFILTERED]
    if len(unfiltered):
        handles.append(_note("with massive tokens", style.MUTED, marker="x"))
    (frame,) = sheet([2.8], handles, references.remark(model, title(titles, "models", model)))
    left, right = frame.axes(2, left=0.72, ratios=[1, 1.15], sharey=True)
    ours = means[means["dataset"] == judged]
    _means(left, ours, methods)
    if fitted is not None:
        _means(left, means[means["dataset"] == fitted], methods, markerfacecolor="white")
    if len(unfiltered):
        _means(left, unfiltered, methods, marker="x", markersize=4)
    left.set(title="A  Mean over directions", ylabel="excess kurtosis (Gaussian: 0)")
    _spread(right, spread)
    text = "held-out text" if judged.endswith(HELDOUT) else judged
    right.set(title=f"B  Spread over directions ({_quantiles(spread)})", xlabel=f"layer ({text})")
    share = measured(scores, "share_above_gaussian", dataset=judged)
    return frame.figure, drawn({"A": means, "B": spread, "text": share}, titles)


def _quantiles(spread: pd.DataFrame) -> str:
    """Text of the quantiles that the thin and the thick bars span."""
    levels = [f"{100 * level:g}" for level in sorted(spread["x"].unique())]
    spans = [f"{levels[depth]}–{levels[-1 - depth]} %" for depth in range(min(2, len(levels) // 2))]
    return ", thick ".join(spans)


def _note(text: str, fill: str, marker: str = "o") -> Line2D:
    return Line2D([], [], linestyle="", marker=marker, color=style.MUTED, markerfacecolor=fill, label=text)


def _gap(layers: list[int]) -> int:
    """Smallest distance between neighbouring layers."""
    return min((after - before for before, after in pairwise(layers)), default=1)


def _layer_axis(ax: Axes, layers: list[int]) -> None:
    style.layers_axis(ax, layers)
    ax.set_xlim(layers[0] - 0.6 * _gap(layers), layers[-1] + 0.6 * _gap(layers))
    ax.set_yscale("symlog", linthresh=1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _means(ax: Axes, rows: pd.DataFrame, methods: list[str], **marks: Any) -> None:
    """Draw a mark per layer and arm, joined by lines unless `marks` set the sample off from the one judged by."""
    layers = sorted(rows["layer"].unique().tolist())
    for method in methods:
        part = rows[rows["method"] == method].sort_values("layer")
        look = style.look(method)
        aside = 0.2 * _gap(layers) if look.line != "-" else 0
        line, zorder = ("", 2) if marks else (look.line, 3)
        given = {"color": look.colour, "marker": look.marker, **marks} if marks else look.marks
        style.errorbars(ax, part, part["layer"] + aside, linestyle=line, zorder=zorder, **given)
    _layer_axis(ax, layers)


def _spread(ax: Axes, rows: pd.DataFrame) -> None:
    """Thin bar from the outermost quantile to the other, thick bar between the next ones, mark at the median."""
    layers = sorted(rows["layer"].unique().tolist())
    for layer in layers:
        here = rows[rows["layer"] == layer]
        arms = style.in_order(here["method"])
        step = 0.9 * _gap(layers) / max(len(arms), 4)
        for i, method in enumerate(arms):
            x = layer + step * (i - (len(arms) - 1) / 2)
            part = here[here["method"] == method].sort_values("x")
            values, look = part["value"].tolist(), style.look(method)
            for depth, width in enumerate((1, 3)):
                if len(values) > 2 * depth + 1:
                    ax.vlines(x, values[depth], values[-1 - depth], color=look.colour, linewidth=width)
            median = part.loc[part["x"] == MEDIAN, "value"]
            ax.plot([x] * len(median), median, look.marker, zorder=4, color=look.colour, markeredgecolor="white")
    _layer_axis(ax, layers)


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the table behind the figure shows, beside what the paper says."""
    means, share = data[data["panel"] == "A"], data[data["panel"] == "text"]
    titles = dict(zip(data["method"], data["title"], strict=True))
    held = means[means["dataset"] == corpora(data)[0]]
    lines = [
        f"Directions of {titles[arm]} beyond what as many Gaussian samples would reach by chance: "
        f"{span(share.loc[share['method'] == arm, 'value'], '.0%')}"
        for arm in style.in_order(titles)
    ]
    for arm, other in fair_pairs(titles):
        count = count_leads(held[held["method"] == arm], held[held["method"] == other], on=["layers"])
        if count:
            lines.append(f"{titles[arm]} against {titles[other]}: mean excess kurtosis {count}")
    lines += _massive_tokens(means, titles)
    return "\n".join([claim(references, ITEM), _grid(means, titles), bullets(lines)])


def _massive_tokens(means: pd.DataFrame, titles: dict[str, str]) -> list[str]:
    """Say what the few tokens that the judging corpus leaves out do to each arm's mean, where they do most."""
    judged, _ = corpora(means)
    lines = []
    for arm in style.in_order(titles):
        own = means[means["method"] == arm].set_index("layers")
        without = own.loc[own["dataset"] == judged, "value"]
        unfiltered = own.loc[own["dataset"] == judged + UNFILTERED, "value"]
        if len(unfiltered):
            layer = str(unfiltered.idxmax())
            lines.append(
                f"{titles[arm]}: with the massive tokens the mean on the same documents is {unfiltered[layer]:.3g} at "
                f"layer {layer}, without them {without[layer]:.3g}"
            )
    return lines


def _grid(means: pd.DataFrame, titles: dict[str, str]) -> str:
    """Mean by layer and arm on the judging corpus, and on that of the fit in brackets."""
    judged, fitted = corpora(means)
    values = means.set_index(["layers", "method", "dataset"])["value"].to_dict()
    arms = style.in_order(titles)
    rows = []
    for layer in sorted(means["layers"].unique(), key=int):
        cells = []
        for arm in arms:
            held, seen = values.get((layer, arm, judged)), values.get((layer, arm, fitted))
            cells.append("" if held is None else f"{held:.3g}" + ("" if seen is None else f" ({seen:.3g})"))
        rows.append([layer, *cells])
    text = "held-out text" if judged.endswith(HELDOUT) else judged
    head = f"layer: mean excess kurtosis on {text}" + (" (on the text of the fit)" if fitted else "")
    return grid([head, *(titles[arm] for arm in arms)], rows)
