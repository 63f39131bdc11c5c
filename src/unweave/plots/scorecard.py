"""What the run says about every claim of the papers."""

import math
from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, title
from unweave.plots.sentences import grid, literal

ROW = 0.168
LONGEST = 88
VERDICTS: Mapping[str, tuple[str, str]] = {
    "holds": ("#009E73", "o"),
    "fails": ("#D55E00", "X"),
    "undecided": ("#E69F00", "D"),
    "not testable here": ("#8A8A8A", "_"),
}
"""Colour and marker of each verdict."""
PAPERS = {"ica": "ICA Lens", "bae": "Binary Autoencoder", "snmf": "Semi-NMF", "sasa": "SASA"}


@style.house()
def draw(card: pd.DataFrame, scores: pd.DataFrame, titles: Titles) -> Figure:
    """List the claims of each paper with their verdicts and the difference that decided."""
    papers = [paper for paper in PAPERS if paper in set(card["paper"])]
    heights = [0.35 + ROW * int((card["paper"] == paper).sum()) for paper in papers]
    model = title(titles, "models", str(scores["model"].mode().iloc[0]))
    note = f"{model}, a small stand-in: verdicts are about this run, not about the papers' models"
    frames = sheet(heights, _legend(card, VERDICTS), note)
    for frame, paper in zip(frames, papers, strict=True):
        (ax,) = frame.axes(1, left=0.1, top=0.28, bottom=0.02)
        _list(ax, card[card["paper"] == paper], PAPERS[paper])
    return frames[0].figure


NULL_VERDICTS: Mapping[str, tuple[str, str]] = {
    "at chance": VERDICTS["holds"],
    "off chance": VERDICTS["fails"],
    "not measured": VERDICTS["not testable here"],
}


@style.house()
def draw_nulls(table: pd.DataFrame, scores: pd.DataFrame, titles: Titles) -> Figure:
    """List what has learned nothing, and whether it scores what chance gives."""
    model = title(titles, "models", str(scores["model"].mode().iloc[0]))
    note = f"{model}; measured less chance, with 95 % interval"
    (frame,) = sheet([0.35 + ROW * len(table)], _legend(table, NULL_VERDICTS), note)
    (ax,) = frame.axes(1, left=0.1, top=0.28, bottom=0.02)
    _list(ax, table.assign(text=table["null"]), "What has learned nothing", NULL_VERDICTS)
    return frame.figure


def null_findings(table: pd.DataFrame) -> str:
    """Markdown table of the nulls."""
    rows = [
        [str(row["null"]), f"**{row['verdict']}**", f"{row['measured']:.3g}", f"{row['chance']:.3g}", difference(row)]
        for _, row in table.iterrows()
    ]
    return grid(["null", "verdict", "measured", "chance", "difference"], rows)


def _legend(rows: pd.DataFrame, looks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"{name} ({(rows['verdict'] == name).sum()})")
        for name, (colour, marker) in looks.items()
    ]


def _list(ax: Axes, rows: pd.DataFrame, heading: str, looks: Mapping[str, tuple[str, str]] = VERDICTS) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        colour, marker = looks[row["verdict"]]
        ax.plot([0.0], [-place], color=colour, marker=marker, linestyle="")
        ax.text(0.012, -place, _shortened(str(row["text"])), va="center")
        ax.text(1.0, -place, difference(row), va="center", ha="right", color=style.MUTED)
    ax.set(xlim=(-0.008, 1.0), ylim=(-len(rows) + 0.4, 0.6), xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(heading)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rsplit(" ", 1)[0] + " ..."


def difference(row: pd.Series) -> str:
    """Difference with its interval, empty where nothing was compared."""
    value, low, high = (float(str(row[name])) for name in ("difference", "ci_low", "ci_high"))
    return "" if math.isnan(value) else f"{value:+.2g} ({low:+.2g} to {high:+.2g})"


def printed(card: pd.DataFrame) -> pd.DataFrame:
    """Cells of the scorecard."""
    columns = {"paper": "paper", "text": "claim", "published": "published", "verdict": "verdict"}
    cells = card[list(columns)].rename(columns=columns)
    return cells.assign(difference=[difference(row) for _, row in card.iterrows()])


def findings(card: pd.DataFrame) -> str:
    """Markdown table of the scorecard."""
    rows = [
        [
            PAPERS[str(row["paper"])],
            *literal([str(row["text"]), _text(row["published"])]),
            f"**{row['verdict']}**",
            *literal([difference(row) or _text(row["reason"])]),
        ]
        for _, row in card.iterrows()
    ]
    return grid(["paper", "claim", "published", "verdict", "difference or reason"], rows)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
