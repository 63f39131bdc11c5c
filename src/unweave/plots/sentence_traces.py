"""Components of every token of a few sentences with two senses of one word (ICA Lens v1, the "bank" case study)."""

from itertools import combinations
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from unweave.plots import style
from unweave.plots.layout import Frame, sheet
from unweave.plots.selection import Titles, drawn, measured, middle_layer, subject, title
from unweave.plots.sentences import bullets, claim, grid
from unweave.results.references import References

ITEM = "bank_case_study"
TRACE_LOOKS: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "marker": "o", "linestyle": "-"},
    {"color": "#B0447F", "marker": "s", "linestyle": (0, (3, 1.2))},
)
"""Looks of the most separating components; no method family has these colours."""
TARGET = "#FFE9B0"
LEVEL = 0.05
SHOWN_RANKS = 3
"""Strongest components printed for a token; the table behind the figure holds all that were stored."""
SENTENCE_INCHES, ARM_INCHES, NAME_INCHES = 1.7, 0.18, 2.6


@style.house()
def draw(scores: pd.DataFrame, titles: Titles, references: References) -> tuple[Figure, pd.DataFrame]:
    """Strongest components of every token of one arm, traces of the two most separating ones, chance level of all arms.

    Parameters
    ----------
    scores
        Rows of the sentence-traces evaluation. Of several layers the middle one is shown; of several arms the ICA of
        the paper's version 1 if it is there, since the figure is of that version.
    """
    model = subject(scores)
    here = middle_layer(scores[scores["dataset"] == scores["dataset"].iloc[0]])
    arms = style.in_order(here["method"])
    arm = next((method for method in arms if method.startswith("ica-v1")), arms[0])
    shown = here[here["method"] == arm]
    separation = measured(shown, "separation")
    order = separation["value"].abs().sort_values(ascending=False, kind="stable").index
    pair = [int(component) for component in separation.loc[order, "x"].head(len(TRACE_LOOKS))]

    tokens = measured(shown, "document")
    sentences = [rows for _, rows in tokens.groupby("value")]
    heights = [0.25, *([SENTENCE_INCHES] * len(sentences)), 0.75 + ARM_INCHES * len(arms)]
    handles: list[Artist] = [
        Line2D([], [], label=f"component {component}", **look)
        for component, look in zip(pair, TRACE_LOOKS, strict=False)
    ]
    strongest = measured(shown, "top_code")["value"].abs().max()
    handles += [
        Patch(color=TARGET, label=f"“{_word(shown)}”"),
        Patch(color="black", label=f"shade: size of the code, black {strongest:.0f}"),
    ]
    remark = references.remark(model, title(titles, "models", model))
    top, *frames, bottom = sheet(heights, handles, remark)
    name = title(titles, "methods", arm)
    top.heading(f"A  {name}, layer {shown['layer'].iloc[0]}: traces and strongest components")
    _sentences(frames, shown, sentences, pair)
    _chance(bottom, here, arms, titles)
    codes = measured(shown, "code")
    parts = {
        "A": pd.concat(
            [
                *(measured(shown, metric) for metric in ("document", "target", "top_component", "top_code")),
                codes[codes["label"].isin([str(component) for component in pair])],
                separation,
            ]
        ),
        "B": pd.concat([measured(here, "largest_separation"), measured(here, "split_rank")]),
    }
    return top.figure, drawn(parts, titles)


def _word(rows: pd.DataFrame) -> str:
    """Text of the target token."""
    first = measured(rows, "target")["x"].iloc[0]
    tokens = measured(rows, "document")
    return str(tokens.loc[tokens["x"] == first, "label"].iloc[0]).strip()


def _sentences(frames: list[Frame], rows: pd.DataFrame, sentences: list[pd.DataFrame], pair: list[int]) -> None:
    longest = max(len(tokens) for tokens in sentences)
    targets = measured(rows, "target").set_index("x")["label"]
    traces = measured(rows, "code")
    limits = traces.loc[traces["label"].isin([str(component) for component in pair]), "value"]
    margin = 0.08 * (limits.max() - limits.min())
    strongest = measured(rows, "top_code")["value"].abs().max()
    for tokens, frame in zip(sentences, frames, strict=True):
        trace, heat = frame.axes(1, 2, top=0.22, bottom=0.5, gap=(0, 0.05))
        positions = tokens["x"].tolist()
        for place in (position for position, x in enumerate(positions) if x in targets.index):
            trace.axvspan(place - 0.5, place + 0.5, color=TARGET, zorder=0)
        for component, look in zip(pair, TRACE_LOOKS, strict=False):
            curve = traces[(traces["label"] == str(component)) & traces["x"].isin(positions)]
            trace.plot(range(len(positions)), curve["value"], linewidth=1.2, markersize=3, **look)
        sense = ", ".join(dict.fromkeys(targets[x] for x in positions if x in targets.index))
        trace.set_title(f"Sentence {int(tokens['value'].iloc[0]) + 1}: {sense}", fontsize=style.TEXT)
        trace.set_ylim(limits.min() - margin, limits.max() + margin)
        trace.set_ylabel("code")
        trace.set_xlim(-0.5, longest - 0.5)
        trace.set_xticks([])
        _heat(heat, rows, positions, pair, strongest)
        heat.set_xlim(0, longest)
        words = style.token_labels(tokens["label"])
        heat.set_xticks(np.arange(len(words)) + 0.5, words, rotation=40, ha="right", rotation_mode="anchor")
        for label, x in zip(heat.get_xticklabels(), positions, strict=True):
            label.set_fontweight("bold" if x in targets.index else "normal")


def _heat(ax: Axes, rows: pd.DataFrame, positions: list[float], pair: list[int], strongest: float) -> None:
    """Strength of the strongest components of each token as shades, their numbers in the cells."""
    tops, codes = (
        measured(rows, metric)
        .astype({"label": int})
        .pivot(index="label", columns="x", values="value")
        .head(SHOWN_RANKS)
        for metric in ("top_component", "top_code")
    )
    strengths = codes[positions].abs().to_numpy() / strongest
    ax.pcolormesh(strengths, vmin=0, vmax=1, cmap="Greys", edgecolor="white", linewidth=0.6)
    edges = {component: look["color"] for component, look in zip(pair, TRACE_LOOKS, strict=False)}
    for (row, column), component in np.ndenumerate(tops[positions].to_numpy().astype(int)):
        ink = "white" if strengths[row, column] > 0.5 else "black"
        ax.text(column + 0.5, row + 0.5, str(component), color=ink, ha="center", va="center_baseline")
        if component in edges:
            corner = (column + 0.06, row + 0.06)
            ax.add_patch(Rectangle(corner, 0.88, 0.88, edgecolor=edges[component], facecolor="none", linewidth=1.5))
    ax.set(ylim=(len(strengths), 0), ylabel="rank")
    ax.set_yticks(np.arange(len(strengths)) + 0.5, [str(rank) for rank in tops.index])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _chance(frame: Frame, rows: pd.DataFrame, arms: list[str], titles: Titles) -> None:
    """Largest separation of the true senses (filled) and of the relabelled sentences (hollow), by arm."""
    (ax,) = frame.axes(1, left=NAME_INCHES, top=0.3)
    largest, ranks = measured(rows, "largest_separation"), measured(rows, "split_rank").set_index("method")
    for place, method in enumerate(arms):
        look = style.look(method)
        own = largest[largest["method"] == method]
        true, other = (own.loc[own["label"] == label, "value"] for label in ("true", "relabelled"))
        ax.plot(other, [place] * len(other), look.marker, color=look.colour, markerfacecolor="white")
        ax.plot(true, [place] * len(true), look.marker, color=look.colour)
        rank = f"rank {ranks['value'][method]:g} of {ranks['n'][method]}"
        ax.annotate(rank, (1, place), xycoords=("axes fraction", "data"), ha="right", va="center")
    ax.set_yticks(range(len(arms)), [fill(title(titles, "methods", method), 42) for method in arms])
    ax.set(ylim=(len(arms) - 0.4, -0.6), xlim=(0, 1.25 * largest["value"].max()))
    ax.set_xlabel("largest separation of the target word by any component (standard deviations)")
    frame.heading("B  Could it be chance? True senses (filled) against relabelled sentences (hollow)")


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown what the table behind the figure shows, beside what the paper says."""
    shown = data[data["panel"] == "A"]
    targets, tops = measured(shown, "target"), measured(shown, "top_component")
    strongest: dict[float, list[int]] = {
        x: tops[tops["x"] == x].astype({"label": int, "value": int}).sort_values("label")["value"].tolist()
        for x in targets["x"]
    }
    rows = [
        [str(int(row["value"]) + 1), row["label"], ", ".join(str(component) for component in strongest[row["x"]])]
        for row in targets.to_dict("records")
    ]
    table = grid(["sentence", "sense", f"strongest components at “{_word(shown)}”, in order"], rows)
    sense = dict(zip(targets["x"], targets["label"], strict=True))
    shared: dict[bool, list[int]] = {True: [], False: []}
    for first, second in combinations(sense, 2):
        shared[sense[first] == sense[second]].append(len({*strongest[first]} & {*strongest[second]}))
    lines = [f"Shown: {shown['title'].iloc[0]}, layer {shown['layers'].iloc[0]}"]
    if all(shared.values()):
        depth = len(next(iter(strongest.values())))
        lines.append(
            f"Of the {depth} strongest components at the word, two sentences of the same sense share "
            f"{np.mean(shared[True]):.1f} on average, two of different senses {np.mean(shared[False]):.1f}"
        )
    lines += _separating(shown, targets)
    return "\n".join([claim(references, ITEM), table, bullets(lines), "", _chance_grid(data), bullets(_caveat(data))])


def _separating(shown: pd.DataFrame, targets: pd.DataFrame) -> list[str]:
    separation = measured(shown, "separation").set_index("x")["value"].abs()
    traces = measured(shown, "code")
    lines = []
    for component in sorted(traces["label"].unique(), key=lambda component: -separation[float(component)]):
        at_word = traces[traces["label"] == component].drop(columns="label").merge(targets[["x", "label"]], on="x")
        means = at_word.groupby("label", sort=False)["value"].mean()
        said = ", ".join(f"{means[sense]:.1f} in the {sense} sentences" for sense in means.index)
        apart = f"{separation[float(component)]:.1f} standard deviations apart"
        lines.append(f"Component {component} is on average {said}: {apart}")
    return lines


def _chance_grid(data: pd.DataFrame) -> str:
    largest, ranks = measured(data, "largest_separation"), measured(data, "split_rank").set_index("method")
    rows = []
    for arm in style.in_order(ranks.index):
        own = largest[largest["method"] == arm]
        true, other = (own.loc[own["label"] == label, "value"] for label in ("true", "relabelled"))
        said = f"{other.max():.2f}" if len(other) else ""
        rows.append([ranks["title"][arm], f"{true.iloc[0]:.2f}", said, f"{ranks['value'][arm]:g} of {ranks['n'][arm]}"])
    return grid(
        ["largest separation by any component", "true senses", "best relabelling", "rank of the true senses"], rows
    )


def _caveat(data: pd.DataFrame) -> list[str]:
    splits = int(measured(data, "split_rank")["n"].iloc[0])
    line = f"By chance the true senses get rank 1 of {splits} with probability {1 / splits:.2f}"
    return [line + (": rank 1 alone is no evidence" if 1 / splits > LEVEL else "")]
