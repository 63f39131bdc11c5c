"""What bugs and confounds change: the published number and ours, with intervals."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import style
from unweave.plots.layout import sheet
from unweave.plots.selection import Titles, title
from unweave.plots.sentences import grid
from unweave.results.references import References

ROW = 0.2
FAITHFUL, FIXED = "#D55E00", "#0072B2"


@style.house()
def draw(table: pd.DataFrame, scores: pd.DataFrame, titles: Titles, references: References) -> Figure:
    """Both numbers of every comparison, as shares of the larger one: units differ from row to row."""
    handles = [
        Line2D([], [], color=FAITHFUL, marker="X", linestyle="", label="faithful: as published"),
        Line2D([], [], color=FIXED, marker="o", linestyle="", label="fixed"),
    ]
    errata = list(dict.fromkeys(table["erratum"]))
    heights = [0.45 + ROW * int((table["erratum"] == name).sum()) for name in errata]
    model = str(scores["model"].mode().iloc[0])
    frames = sheet(heights, handles, references.remark(model, title(titles, "models", model)))
    for frame, name in zip(frames, errata, strict=True):
        (ax,) = frame.axes(1, left=2.9, top=0.3, bottom=0.05)
        _rows(ax, table[table["erratum"] == name], name)
    return frames[0].figure


def _rows(ax: Axes, rows: pd.DataFrame, heading: str) -> None:
    for place, (_, row) in enumerate(rows.iterrows()):
        numbers = row[["faithful", "faithful_low", "faithful_high", "fixed", "fixed_low", "fixed_high"]].astype(float)
        largest = numbers.abs().max()
        for side, colour, marker, lift in (("faithful", FAITHFUL, "X", 0.14), ("fixed", FIXED, "o", -0.14)):
            ends = [numbers[f"{side}_low"] / largest, numbers[f"{side}_high"] / largest]
            ax.plot(ends, [lift - place] * 2, color=colour, linewidth=1)
            ax.plot([numbers[side] / largest], [lift - place], color=colour, marker=marker, linestyle="")
        ax.text(1.06, -place, _both(row), va="center", color=style.MUTED)
    ax.set_yticks([-number for number in range(len(rows))], rows["compared"].tolist())
    ax.set(xlim=(min(0.0, *_lowest(rows)), 1.75), ylim=(-len(rows) + 0.4, 0.6), xticks=[])
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    ax.set_title(heading, x=-0.68)


def _lowest(rows: pd.DataFrame) -> list[float]:
    sides = rows[["faithful_low", "fixed_low"]].astype(float)
    largest = rows[["faithful", "fixed", "faithful_high", "fixed_high"]].astype(float).abs().max(axis=1)
    return [float(value) for value in (sides.min(axis=1) / largest).fillna(0)]


def _both(row: pd.Series) -> str:
    unit = row["unit"] if isinstance(row["unit"], str) and row["unit"] != "1" else ""
    return f"{_text(row['faithful'])} → {_text(row['fixed'])} {unit}".rstrip()


def _text(value: float) -> str:
    if pd.isna(value):
        return "not measured"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _interval(row: pd.Series, side: str) -> str:
    value, low, high = (row[name] for name in (side, f"{side}_low", f"{side}_high"))
    return _text(value) if pd.isna(value) or low == high else f"{value:.3g} ({low:.3g} to {high:.3g})"


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """Cells of the table."""
    return pd.DataFrame(
        {
            "erratum": table["erratum"],
            "number": table["compared"],
            "faithful": [_interval(row, "faithful") for _, row in table.iterrows()],
            "fixed": [_interval(row, "fixed") for _, row in table.iterrows()],
        }
    )


def findings(table: pd.DataFrame) -> str:
    """Say in Markdown what each bug or confound is and what it changes."""
    parts = []
    for name, rows in table.groupby("erratum", sort=False):
        parts.append(f"**{name}.** {rows['problem'].iloc[0]}\n")
        cells = printed(rows)[["number", "faithful", "fixed"]].to_numpy().tolist()
        differences = [
            "" if pd.isna(value) else f"{value:+.3g} ({low:+.3g} to {high:+.3g})"
            for value, low, high in zip(rows["difference"], rows["ci_low"], rows["ci_high"], strict=True)
        ]
        parts.append(
            grid(["number", "faithful", "fixed", "change"], [[*c, d] for c, d in zip(cells, differences, strict=True)])
        )
    return "\n".join(parts)
