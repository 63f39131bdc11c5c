"""Codes along a sentence as rows, ICA beside a sparse autoencoder, and how smooth they are (ICA Lens v1, ridgeline)."""

from collections.abc import Sequence
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, drawn, measured, middle_layer, subject, title
from unweave.plots.sentences import bullets, claim, grid, with_interval
from unweave.results.references import References

ITEM = "ridgeline"
SHUFFLED = "shuffled tokens"
ROW_INCHES, ARM_INCHES, NAME_INCHES = 0.17, 0.24, 2.6
HEIGHT = 0.9
"""Of a curve, in rows."""
APART = 0.17
"""From the middle of its row to a mark, in rows."""


@style.house()
def draw(
    scores: pd.DataFrame, titles: Titles, references: References, arms: Sequence[str]
) -> tuple[Figure, pd.DataFrame]:
    """Traces of the strongest feature of every token of the first sentence for two arms, and run lengths of all arms.

    Parameters
    ----------
    scores
        Rows of the sentence-traces evaluation. Of several layers the middle one is shown.
    arms
        The two methods whose traces are drawn.

    Raises
    ------
    UnweaveError
        if one of the two was not evaluated.
    """
    model = subject(scores)
    here = middle_layer(scores[scores["dataset"] == scores["dataset"].iloc[0]])
    known = style.in_order(here["method"])
    if missing := [arm for arm in arms if arm not in known]:
        raise UnweaveError(f"no traces of {', '.join(missing)}: add it to the methods of sentence-traces")
    traces = {arm: _traces(here[here["method"] == arm]) for arm in arms}
    rows = max(len(found["label"].unique()) for found in traces.values())
    handles = [
        Line2D([], [], color="black", marker="o", linestyle="none", label="sentences as they stand"),
        Line2D([], [], color="black", marker="o", linestyle="none", markerfacecolor="white", label=SHUFFLED),
    ]
    heights = [1.1 + ROW_INCHES * rows, 0.8 + ARM_INCHES * len(known)]
    remark = references.remark(model, title(titles, "models", model))
    above, below = sheet(heights, handles, f"{remark}; layer {here['layer'].iloc[0]}")
    words = _first_sentence(here[here["method"] == arms[0]])
    for letter, arm, ax in zip("AB", arms, above.axes(2, top=0.3, bottom=0.7, gap=(0.5, 0)), strict=False):
        _ridges(ax, traces[arm], words, style.look(arm).colour)
        ax.set_title(f"{letter}  {title(titles, 'methods', arm)}")
    runs = measured(here, "run_length")
    (ax,) = below.axes(1, left=NAME_INCHES, top=0.3)
    _runs(ax, runs, known, titles)
    below.heading("C  Tokens around the largest code that stay at half of it (mean of traces, 95 % interval)")
    parts = dict(zip("AB", traces.values(), strict=False))
    return above.figure, drawn({**parts, "C": runs}, titles)


def _first_sentence(rows: pd.DataFrame) -> pd.DataFrame:
    tokens = measured(rows, "document")
    first: pd.DataFrame = tokens[tokens["value"] == tokens["value"].min()]
    return first


def _traces(rows: pd.DataFrame) -> pd.DataFrame:
    """Codes along the first sentence of the features that are the strongest of one of its tokens, first come first."""
    words = _first_sentence(rows)
    tops = measured(rows, "top_component", label="1")
    strongest = [str(int(value)) for value in tops.loc[tops["x"].isin(words["x"]), "value"]]
    codes = measured(rows, "code")
    codes = codes[codes["x"].isin(words["x"])]
    kept = [name for name in dict.fromkeys(strongest) if codes.loc[codes["label"] == name, "value"].any()]
    return pd.concat([codes[codes["label"] == name] for name in kept])


def _ridges(ax: Axes, traces: pd.DataFrame, words: pd.DataFrame, colour: str) -> None:
    """One row for every feature, each on the scale of its own largest |code|."""
    names = list(dict.fromkeys(traces["label"]))
    places = np.arange(len(words))
    for row, name in enumerate(names):
        size = traces.loc[traces["label"] == name, "value"].abs().to_numpy()
        curve = row - HEIGHT * size / size.max()
        ax.fill_between(places, row, curve, color=colour, alpha=0.35, linewidth=0)
        ax.plot(places, curve, color=colour, linewidth=0.9)
    ax.set_ylim(len(names) - 0.5, -1.1)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylabel("feature")
    ax.set_xlim(-0.5, len(words) - 0.5)
    ax.set_xticks(places, style.token_labels(words["label"]), rotation=40, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.grid(visible=False)


def _runs(ax: Axes, runs: pd.DataFrame, arms: Sequence[str], titles: Titles) -> None:
    for place, arm in enumerate(arms):
        look = style.look(arm)
        own = runs[runs["method"] == arm]
        for label, face, shift in (("", look.colour, -APART), (SHUFFLED, "white", APART)):
            found = own[own["label"] == label]
            at = pd.Series([place + shift] * len(found), index=found.index)
            ax.hlines(at, found["ci_low"], found["ci_high"], color=look.colour, linewidth=1)
            ax.plot(found["value"], at, look.marker, color=look.colour, markerfacecolor=face)
    ax.set_yticks(range(len(arms)), [fill(title(titles, "methods", arm), 42) for arm in arms])
    ax.set(ylim=(len(arms) - 0.4, -0.6), xlabel="run length (tokens)")
    ax.set_xlim(left=0)


def findings(data: pd.DataFrame, references: References) -> str:
    """Say in Markdown how long the runs of every arm are, beside what the paper shows."""
    runs = data[data["panel"] == "C"]
    rows = []
    for arm in style.in_order(runs["method"]):
        own = runs[runs["method"] == arm]
        by_label = {row["label"]: row[["value", "ci_low", "ci_high"]] for _, row in own.iterrows()}
        numbers = [with_interval(by_label[label], ".2f") for label in ("", SHUFFLED)]
        rows.append([own["title"].iloc[0], *numbers, str(own["n"].iloc[0])])
    header = ["run length in tokens (95 % interval)", "sentences as they stand", SHUFFLED, "traces"]
    lines = [
        "Intervals resample traces; those of one sentence are not independent, so they are rather too narrow",
        "What the two columns share comes from how dense a code is, not from how smooth",
    ]
    return "\n".join([claim(references, ITEM), grid(header, rows), bullets(lines)])
