"""What the run says about every claim of the papers."""

import math
from collections.abc import Mapping
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, title
from unweave.plots.sentences import grid, literal

LINE, APART = 0.15, 0.05
"""Inches of a line, and between claims."""
LONGEST = 86
"""Letters of a line of a claim."""
SMALLEST = 1e-4
"""Differences that are printed as 0."""
VERDICTS: Mapping[str, tuple[str, str]] = {
    "holds": ("#1A1A1A", "o"),
    "fails": ("#A50026", "X"),
    "undecided": ("#777777", "D"),
    "not testable here": ("#AAAAAA", "_"),
}
"""Colour and marker of each verdict; no method family has these colours."""
PAPERS = {"ica": "ICA Lens", "bae": "Binary Autoencoder", "snmf": "Semi-NMF", "sasa": "SASA"}


@style.house()
def draw(card: pd.DataFrame, scores: pd.DataFrame, titles: Titles) -> Figure:
    """List the claims of each paper with their verdicts and the difference that decided."""
    papers = [paper for paper in PAPERS if paper in set(card["paper"])]
    heights = [_height(card.loc[card["paper"] == paper, "text"]) for paper in papers]
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
    note = f"{model}, a small stand-in for the papers' models"
    (frame,) = sheet([_height(table["null"])], _legend(table, NULL_VERDICTS), note)
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


def _height(texts: pd.Series) -> float:
    return 0.35 + sum(APART + LINE * len(wrap(str(text), LONGEST)) for text in texts)


def _list(ax: Axes, rows: pd.DataFrame, heading: str, looks: Mapping[str, tuple[str, str]] = VERDICTS) -> None:
    y = 0.0
    for _, row in rows.iterrows():
        colour, marker = looks[row["verdict"]]
        lines = wrap(str(row["text"]), LONGEST)
        ax.plot([0.0], [y - LINE / 2], color=colour, marker=marker, linestyle="")
        for place, line in enumerate(lines):
            ax.text(0.012, y - LINE * (place + 0.5), line, va="center")
        ax.text(1.0, y - LINE / 2, difference(row), va="center", ha="right", color=style.MUTED)
        y -= APART + LINE * len(lines)
    ax.set(xlim=(-0.008, 1.0), ylim=(y, 0), xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(heading)
    ax.set_title("difference (95 % interval)", loc="right", fontsize=style.TEXT, color=style.MUTED)


def difference(row: pd.Series) -> str:
    """Difference with its interval, empty where nothing was compared."""
    value, low, high = (float(str(row[name])) for name in ("difference", "ci_low", "ci_high"))
    if math.isnan(value):
        return ""
    interval = "one number, no interval" if low == high else f"{_signed(low)} to {_signed(high)}"
    return f"{_signed(value)} ({interval})"


def _signed(value: float) -> str:
    """Write a number with its sign, as it is read: no powers of ten."""
    if abs(value) < SMALLEST:
        return "0"
    written = f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.2g}"
    return written.replace("-", "−")


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
            *literal(["; ".join(part for part in (difference(row), _text(row["reason"])) if part)]),
        ]
        for _, row in card.iterrows()
    ]
    return grid(["paper", "claim", "published", "verdict", "difference or reason"], rows)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
