"""How non-Gaussian the activations are along each method's directions, layer by layer (ICA Lens v2, figure 3)."""

from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import HELDOUT, Titles, corpora, drawn, measured, subject, title
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
    (frame,) = sheet([2.8], handles, references.remark(model, title(titles, "models", model)))
    left, right = frame.axes(2, ratios=[1, 1.15], sharey=True)
    ours = means[means["dataset"] == judged]
    _means(left, ours, methods)
    if fitted is not None:
        _means(left, means[means["dataset"] == fitted], methods, hollow=True)
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


def _note(text: str, fill: str) -> Line2D:
    return Line2D([], [], linestyle="", marker="o", color=style.MUTED, markerfacecolor=fill, label=text)


def _gap(layers: list[int]) -> int:
    """Smallest distance between neighbouring layers."""
    return min((after - before for before, after in pairwise(layers)), default=1)


def _layer_axis(ax: Axes, layers: list[int]) -> None:
    style.layers_axis(ax, layers)
    ax.set_xlim(layers[0] - 0.6 * _gap(layers), layers[-1] + 0.6 * _gap(layers))
    ax.set_yscale("symlog", linthresh=1)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _means(ax: Axes, rows: pd.DataFrame, methods: list[str], *, hollow: bool = False) -> None:
    layers = sorted(rows["layer"].unique().tolist())
    for method in methods:
        part = rows[rows["method"] == method].sort_values("layer")
        look = style.look(method)
        aside = 0.2 * _gap(layers) if look.line != "-" else 0
        marks = {"color": look.colour, "marker": look.marker, "markerfacecolor": "white"} if hollow else look.marks
        line = "" if hollow else look.line
        style.errorbars(ax, part, part["layer"] + aside, linestyle=line, zorder=2 if hollow else 3, **marks)
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
            ax.plot([x] * len(median), median, zorder=4, markersize=5, **look.marks)
    _layer_axis(ax, layers)


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the table behind the figure shows, beside what the paper says."""
    judged, fitted = corpora(data)
    held = data[(data["panel"] == "A") & (data["dataset"] == judged)]
    fit = data[(data["panel"] == "A") & (data["dataset"] == fitted)]
    share = data[data["panel"] == "text"]
    rows, lines = [], []
    for method in style.in_order(data["method"]):
        own = held[held["method"] == method]
        rows.append(
            [
                own["title"].iloc[0],
                str(len(own)),
                span(own["value"]),
                span(fit.loc[fit["method"] == method, "value"]) if fitted else "not measured",
                span(share.loc[share["method"] == method, "value"], ".0%"),
            ]
        )
    for arm, other in fair_pairs(data["method"]):
        ours, theirs = held[held["method"] == arm], held[held["method"] == other]
        count = count_leads(ours, theirs, on=["layers"])
        if count:
            lines.append(f"{ours['title'].iloc[0]} against {theirs['title'].iloc[0]}: mean excess kurtosis {count}")
    text = "held-out text" if judged.endswith(HELDOUT) else judged
    header = [
        "arm",
        "layers",
        f"mean excess kurtosis on {text}",
        "on the text of the fit",
        "directions beyond Gaussian chance",
    ]
    return "\n".join([claim(references, ITEM), grid(header, rows), bullets(lines)])
