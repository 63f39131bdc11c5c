"""How well few coefficients per token rebuild the activations and the model's output (ICA Lens v2, figure 7)."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import style
from unweave.plots.layout import Frame, sheet
from unweave.plots.selection import THIS_RUN, Titles, drawn, measured, over_layers, over_unseen, subject, text_of, title
from unweave.plots.sentences import bullets, claim, count_leads, fair_pairs, grid, with_interval
from unweave.results.references import References

ITEM = "fig7_reconstruction"
K = 10
"""Coefficients per token at which layers are compared, as in the paper."""
CENTRE: Any = ":"
MEAN: Any = "-."
"""Line styles of the two baselines that have no method."""


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """Cosine against k and against layer, effect on the model's output, and the paper's curves in panels of their own.

    Parameters
    ----------
    scores
        Rows of the reconstruction evaluation and, where it ran, of patching; any layers and methods.
    """
    model = subject(scores)
    cosine = over_unseen(measured(scores, "cosine", x_name="k"))
    k = min(sorted(set(cosine["x"]) - {0}), key=lambda x: abs(x - K))
    parts = {"A": over_layers(cosine), "B": cosine[cosine["x"].isin([0, k])]}
    if "ce_recovered" in set(scores["metric"]):
        for panel, metric in {"C": "ce_recovered", "D": "kl"}.items():
            parts[panel] = over_layers(over_unseen(measured(scores, metric)))
    published = _published_curves(references)
    lowest = min([*parts["A"]["value"], *parts["B"]["value"], *published["value"]])

    baselines = {"center alone (k = 0)": CENTRE, **({"corpus mean instead": MEAN} if "C" in parts else {})}
    handles = style.arms(cosine["method"], titles.get("methods", {}))
    handles += [Line2D([], [], color=style.MUTED, linestyle=line, label=label) for label, line in baselines.items()]
    remark = references.remark(model, title(titles, "models", model))
    top, bottom = sheet([2.4, 2.4], handles, remark)
    draws = {"A": _cosine, "B": _by_layer, "C": _recovered, "D": _divergence}
    axes = top.axes(len(parts), gap=(0.45, 0), right=0.08)
    for ax, (panel, rows) in zip(axes, parts.items(), strict=True):
        draws[panel](ax, rows)
    for ax in (*axes[:2], *_published(bottom, published, references)):
        ax.set_ylim(lowest - 0.03, 1.03)
    return top.figure, drawn(parts | {"E": published}, titles)


def _published_curves(references: References) -> pd.DataFrame:
    table = references.table(ITEM)
    return table[(table["metric"] == "cosine") & (table["x_name"] == "k")].dropna(subset="value")


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    curves = rows[(rows["x_name"] == "k") & (rows["x"] > 0)]
    for method in style.in_order(curves["method"]):
        style.curve(ax, curves[curves["method"] == method], style.look(method))
    style.counts_axis(ax, curves["x"], curves["x"].max())
    ax.set_xlabel(f"k ({text_of(rows['layers'].iloc[0])})")


def _cosine(ax: Axes, rows: pd.DataFrame) -> None:
    _curves(ax, rows)
    for value in rows.loc[rows["x"] == 0, "value"].unique():
        ax.axhline(value, color=style.MUTED, linestyle=CENTRE, linewidth=1)
    ax.set(title="A  Cosine", ylabel="cosine to the activation")


def _by_layer(ax: Axes, rows: pd.DataFrame) -> None:
    for method in style.in_order(rows["method"]):
        look = style.look(method)
        part = rows[(rows["method"] == method) & (rows["x"] > 0)].sort_values("layer")
        style.errorbars(ax, part, part["layer"], linestyle=look.line, **look.marks)
    centre = rows[(rows["x"] == 0) & (rows["method"] == style.in_order(rows["method"])[0])].sort_values("layer")
    ax.plot(centre["layer"], centre["value"], color=style.MUTED, linestyle=CENTRE, linewidth=1)
    style.layers_axis(ax, rows["layer"])
    ax.set_title(f"B  Cosine at k = {rows['x'].max():g}")


def _baseline(ax: Axes, rows: pd.DataFrame) -> None:
    mean = rows.loc[rows["label"] == "mean ablation", "value"]
    if not mean.empty:
        ax.axhline(mean.iloc[0], color=style.MUTED, linestyle=MEAN, linewidth=1)


def _recovered(ax: Axes, rows: pd.DataFrame) -> None:
    _curves(ax, rows)
    _baseline(ax, rows)
    ax.set_title("C  Loss recovered")


def _divergence(ax: Axes, rows: pd.DataFrame) -> None:
    _curves(ax, rows)
    _baseline(ax, rows)
    ax.set_title("D  KL to clean (nats)")


def _published(frame: Frame, published: pd.DataFrame, references: References) -> list[Axes]:
    models = list(dict.fromkeys(published["model"]))
    frame.heading(f"E  Published, other models (arXiv {references.arxiv})")
    axes = frame.axes(len(models), top=0.5, bottom=0.68, sharey=True)
    for ax, model in zip(axes, models, strict=True):
        here = published[published["model"] == model]
        for method in style.in_order(here["method"]):
            style.published_curve(ax, here[here["method"] == method], method)
        style.counts_axis(ax, here["x"])
        ax.set_title(references.models[model], fontsize=style.TEXT)
        ax.set_xlabel("k (mean of all layers)")
    handles = style.published_arms(published["method"], references.methods)
    frame.legend(handles, columns=len(handles))
    return axes


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the table behind the figure shows, beside what the paper says."""
    ours, published = data[data["source"] == THIS_RUN], data[data["source"] != THIS_RUN]
    parts = [claim(references, ITEM), _cosine_grid(ours, published, references), bullets(_sentences(ours))]
    return "\n".join([*parts, "", _patching_grid(ours)] if "C" in set(ours["panel"]) else parts)


def _cosine_grid(ours: pd.DataFrame, published: pd.DataFrame, references: References) -> str:
    """Cosine at one k, mean of layers: our arms on raw rows beside the paper's, which are on raw rows too."""
    k = ours.loc[ours["panel"] == "B", "x"].max()
    families = style.in_order(published["method"])
    means = ours[(ours["panel"] == "A") & (ours["x"] == k)].drop_duplicates("method").set_index("method")["value"]
    own = {style.family(method): value for method, value in means.items() if style.look(method).line == "-"}
    rows = [["this run", *(_number(own, name) for name in families)]]
    for model, part in published[published["x"] == k].groupby("model", sort=False):
        values = part.set_index("method")["value"].to_dict()
        rows.append([f"{references.models[str(model)]} (published)", *(_number(values, name) for name in families)])
    return grid([f"cosine at k = {k:g}, mean of layers", *(references.methods[name] for name in families)], rows)


def _number(values: Mapping[str, float], key: str) -> str:
    return f"{values[key]:.3f}" if key in values else ""


def _patching_grid(ours: pd.DataFrame) -> str:
    """Loss recovered and KL with their intervals, by arm and k."""
    rows = ours[ours["panel"].isin(["C", "D"]) & (ours["x_name"] == "k")]
    columns = [(metric, k) for metric in ("ce_recovered", "kl") for k in sorted(rows["x"].unique())]
    cells = {
        tuple(where): with_interval(numbers, ".2f")
        for *where, numbers in zip(
            *(rows[name].tolist() for name in ("method", "metric", "x")),
            rows[["value", "ci_low", "ci_high"]].to_numpy(),
            strict=True,
        )
    }
    names = {"ce_recovered": "loss recovered", "kl": "KL (nats)"}
    header = [f"{text_of(rows['layers'].iloc[0])}", *(f"{names[metric]}, k = {k:g}" for metric, k in columns)]
    titles = dict(zip(rows["method"], rows["title"], strict=True))
    return grid(
        header,
        [[titles[arm], *(cells.get((arm, *column), "") for column in columns)] for arm in style.in_order(titles)],
    )


def _sentences(ours: pd.DataFrame) -> list[str]:
    mean, by_layer = ours[ours["panel"] == "A"], ours[ours["panel"] == "B"]
    titles = dict(zip(ours["method"], ours["title"], strict=True))
    k = by_layer["x"].max()
    at_k = dict(tuple(by_layer[by_layer["x"] == k].groupby("method")))
    curves = mean[mean["x"] > 0].pivot(index="x", columns="method", values="value")
    lines = []
    centre = mean.loc[mean["x"] == 0, "value"]
    if not centre.empty:
        lines.append(f"The center alone, without any coefficient, already has a cosine of {centre.iloc[0]:.3f}")
    for arm, other in fair_pairs(at_k):
        count = count_leads(at_k[arm], at_k[other], on=["layers"])
        if count is None:
            continue
        line = f"{titles[arm]} against {titles[other]}: cosine at k = {k:g} {count}"
        if {arm, other} <= set(curves):
            level = curves.index[curves[other] >= curves[arm]]
            line += f"; the mean of layers is level from k = {level.min():g}" if len(level) else "; higher at every k"
        lines.append(line)
    return lines
