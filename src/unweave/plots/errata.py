"""What bugs and confounds change: the published number and ours, with intervals."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.plots import style
from unweave.plots.layout import LETTER, MARGIN, WIDTH, sheet
from unweave.plots.selection import Titles, title
from unweave.plots.sentences import grid, literal, with_interval
from unweave.results.errata import Erratum
from unweave.results.references import References

ROW, HEADING, AXIS = 0.2, 0.45, 0.42
"""Inches of a row, of what stands above and below the rows of an erratum, and of the axis below the last one."""
PAD = 0.12
"""Inches between the rows and the numbers beside them."""
SIDES = {"faithful": ("#767676", "X", 0.14), "fixed": ("black", "o", -0.14)}
"""Colour, marker and lift of each side: no method has these colours."""
NUMBERS = [f"{side}{end}" for side in SIDES for end in ("", "_low", "_high")]


@style.house()
def draw(table: pd.DataFrame, scores: pd.DataFrame, titles: Titles, references: References) -> Figure:
    """Both numbers of every comparison, as shares of the row's largest number: units differ from row to row."""
    labels = {"faithful": "faithful: as published", "fixed": "fixed"}
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=labels[side])
        for side, (colour, marker, _) in SIDES.items()
    ]
    errata = list(dict.fromkeys(table["erratum"]))
    heights = [HEADING + ROW * int((table["erratum"] == name).sum()) for name in errata]
    heights[-1] += AXIS
    model = str(scores["model"].mode().iloc[0])
    frames = sheet(heights, handles, references.remark(model, title(titles, "models", model)))
    left = 0.25 + LETTER * int(table["compared"].str.len().max())
    shares = _shares(table)
    beside = [_both(row) for _, row in table.iterrows()]
    width = WIDTH - left - MARGIN
    limits = _limits(shares, width, PAD + LETTER * max(map(len, beside)))
    for number, (frame, name) in enumerate(zip(frames, errata, strict=True)):
        is_last = number == len(errata) - 1
        (ax,) = frame.axes(1, left=left, top=0.3, bottom=0.05 + (AXIS if is_last else 0))
        chosen = table["erratum"] == name
        ax.set(xlim=limits, xticks=[])
        ax.set_title(name, x=(MARGIN - left) / width)
        _rows(ax, shares[chosen])
        for place, text in enumerate(text for text, shown in zip(beside, chosen, strict=True) if shown):
            ax.annotate(text, (1, -place), (72 * PAD, 0), textcoords="offset points", va="center", color=style.MUTED)
        ax.set_yticks([-place for place in range(chosen.sum())], table.loc[chosen, "compared"].tolist())
    _share_axis(frames[-1].figure.axes[-1])
    return frames[0].figure


def _shares(table: pd.DataFrame) -> pd.DataFrame:
    """Both numbers and the ends of their intervals, over the largest of them in each row."""
    numbers = table[NUMBERS].astype(float)
    largest = numbers.abs().max(axis=1)
    return numbers.div(largest.where(largest > 0, 1.0), axis=0)


def _limits(shares: pd.DataFrame, inches: float, beside: float) -> tuple[float, float]:
    """Limits of an axis of so many inches that ends at 1, with inches kept free `beside` it."""
    low = min(0.0, float(shares.min().min()))
    return low, low + (1 - low) * inches / (inches - beside)


def _rows(ax: Axes, shares: pd.DataFrame) -> None:
    for place, (_, row) in enumerate(shares.iterrows()):
        for side, (colour, marker, lift) in SIDES.items():
            ends = [row[f"{side}_low"], row[f"{side}_high"]]
            ax.plot(ends, [lift - place] * 2, color=colour, linewidth=1, clip_on=False)
            ax.plot([row[side]], [lift - place], color=colour, marker=marker, linestyle="", clip_on=False)
    ax.set_ylim(-len(shares) + 0.4, 0.6)
    ax.axvline(0, color=style.MUTED, linewidth=0.8)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def _share_axis(ax: Axes) -> None:
    """Name the axis of the last rows, whose scale is that of all."""
    low, high = ax.get_xlim()
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.spines["bottom"].set(visible=True, bounds=(low, 1))
    ax.set_xlabel("share of the row's largest number, intervals included", x=(0.5 - low) / (high - low))


def _both(row: pd.Series) -> str:
    numbers = f"{_text(row['faithful'])} → {_text(row['fixed'])}"
    if not isinstance(row["unit"], str) or row["unit"] == "1":
        return numbers
    # "0 to 2" behind a number would read as its interval.
    return f"{numbers} ({row['unit'].replace('0 to', 'of')})"


def _text(value: float) -> str:
    if pd.isna(value):
        return "not measured"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _interval(row: pd.Series, side: str) -> str:
    value, low, high = (row[name] for name in (side, f"{side}_low", f"{side}_high"))
    if pd.isna(value):
        return _text(value)
    return f"{_text(value)} (no interval)" if pd.isna(low) else f"{_text(value)} ({_text(low)} to {_text(high)})"


def _change(row: pd.Series) -> str:
    value, low, high = row["difference"], row["ci_low"], row["ci_high"]
    return "" if pd.isna(value) else with_interval((value, low, high), "+.3g")


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


def findings(errata: Sequence[Erratum], table: pd.DataFrame) -> str:
    """Say in Markdown what each bug or confound is, what is done about it and, where arms show it, what it changes."""
    parts = []
    for erratum in errata:
        if erratum.compared:
            rows = table[table["erratum"] == erratum.title]
            cells = printed(rows)[["number", "faithful", "fixed"]].assign(
                change=[_change(r) for _, r in rows.iterrows()]
            )
            parts += [f"{_said(erratum)}\n", grid(list(cells.columns), map(literal, cells.to_numpy().tolist()))]
    noted = [f"- {_said(erratum)}" for erratum in errata if not erratum.compared]
    if noted:
        parts.append("### Noted, without numbers\n\n" + "\n".join(noted) + "\n")
    return "\n".join(parts)


def _said(erratum: Erratum) -> str:
    name, problem, done = literal([erratum.title, erratum.problem, erratum.done])
    return f"**{name}.** {problem} {done}"
