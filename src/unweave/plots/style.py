"""The house style: one look per method family, in every figure, that also reads in grey and with colour blindness."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

TEXT, HEADING = 8.0, 9.0
"""Font sizes in points; nothing is smaller than TEXT."""
MOST_TICKS = 8
FEW, MOST_MARKS = 6, 10
"""Points of a curve up to which intervals are bars, not a band; marks on a curve of many points."""
MUTED = "#595959"
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MISSING = "#ECECEC"
"""Ground of cells of a map that hold no number."""
PAPER_SHADE = "#F4F1EA"
"""Ground of panels that show numbers which somebody else published."""

RC = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT,
    "axes.labelsize": TEXT,
    "axes.titlesize": HEADING,
    "axes.titlelocation": "left",
    "axes.titlepad": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.fontsize": TEXT,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.8,
    "text.parse_math": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "path",
    "svg.hashsalt": "unweave",
}


@dataclass(frozen=True)
class Look:
    """How one arm is drawn: the family gives colour and marker, the variant the line style and half-filled markers."""

    colour: str
    marker: str
    line: Any = "-"

    @property
    def marks(self) -> dict[str, Any]:
        """Keyword arguments of a marker."""
        fill = "full" if self.line == "-" else "left"
        return {"color": self.colour, "marker": self.marker, "fillstyle": fill, "markerfacecoloralt": "white"}


FAMILIES = {
    "ica": Look("#0072B2", "o"),
    "sae": Look("#D55E00", "D"),
    "bae": Look("#009E73", "P"),
    "snmf": Look("#CC79A7", "v"),
    "sasa": Look("#56B4E9", "X"),
    "pca": Look("#E69F00", "s"),
    "random": Look("#444444", "^"),
    "kmeans": Look("#882255", "p"),
    "diffmeans": Look("#999933", "<"),
    "raw": Look("#332288", "h"),
    "transcoder": Look("#661100", ">"),
}
"""First word of a method's key to its look, in the order of legends. Colours: Okabe and Ito, random in grey."""
UNKNOWN = Look("#8C6D31", "*")
UNIT_ROWS, IN_CONTEXT, WITHOUT_IT = (0, (4, 1.5)), (0, (1, 1)), (0, (3, 1, 1, 1))
OTHER_SOLVER, OTHER_SITE = (0, (6, 1, 1, 1, 1, 1)), (0, (2, 1))
VARIANTS = {
    "v1": UNIT_ROWS,
    "rownorm": UNIT_ROWS,
    "released": UNIT_ROWS,
    "release": UNIT_ROWS,
    "wd": WITHOUT_IT,
    "fast": OTHER_SOLVER,
    "first": IN_CONTEXT,
    "untrained": IN_CONTEXT,
    "unfitted": IN_CONTEXT,
    "reference": UNIT_ROWS,
}
"""Later word of a method's key to the line style of that arm: arms of the same line style are comparable."""


@contextmanager
def house() -> Iterator[None]:
    """Draw and save with the house style; also a decorator."""
    with mpl.rc_context(RC):
        yield


def family(method: str) -> str:
    """Return the method family of an arm: the first word of its key."""
    return method.split("-")[0]


def look(method: str) -> Look:
    """Look of the arm with the key `method`."""
    base = FAMILIES.get(family(method), UNKNOWN)
    line = next((VARIANTS[word] for word in method.split("-")[1:] if word in VARIANTS), base.line)
    return Look(base.colour, base.marker, line)


def in_order(methods: Iterable[str]) -> list[str]:
    """Arms as legends list them: by family, solid lines before broken ones."""
    families = [*FAMILIES]

    def place(method: str) -> tuple[int, bool, str]:
        name = family(method)
        return (families.index(name) if name in FAMILIES else len(families), look(method).line != "-", method)

    return sorted(set(methods), key=place)


def arms(methods: Iterable[str], titles: Mapping[str, str]) -> list[Artist]:
    """Legend entries of arms."""
    return [
        Line2D([], [], linestyle=look(method).line, label=titles.get(method, method), **look(method).marks)
        for method in in_order(methods)
    ]


def curve(ax: Axes, rows: pd.DataFrame, drawn: Look, *, shift: float = 0.0, joined: bool = True) -> None:
    """Values against x, with the interval as a band, or as a bar where there are few.

    Parameters
    ----------
    shift
        Points to the right at which few values stand, so that the bars of several arms stand beside each other.
    joined
        Whether a line joins the values.
    """
    every = ceil(len(rows) / MOST_MARKS)
    line = {"linestyle": drawn.line if joined else "", "markevery": every, **drawn.marks}
    if len(rows) > FEW:
        ax.plot(rows["x"], rows["value"], **line)
        ax.fill_between(rows["x"], rows["ci_low"], rows["ci_high"], color=drawn.colour, alpha=0.2, linewidth=0)
        return
    (marks,) = ax.plot(rows["x"], rows["value"], **line)
    bars = ax.vlines(rows["x"], rows["ci_low"], rows["ci_high"], color=drawn.colour, linewidth=1)
    # Moved only now: limits of axes are those of the values.
    beside = ax.transData + ScaledTranslation(shift / 72, 0, ax.figure.dpi_scale_trans)
    for artist in (marks, bars):
        artist.set_transform(beside)


def errorbars(ax: Axes, rows: pd.DataFrame, x: pd.Series, **looks: Any) -> None:
    """Draw marks at the values against `x`, with the interval as a bar."""
    below, above = rows["value"] - rows["ci_low"], rows["ci_high"] - rows["value"]
    ax.errorbar(x, rows["value"], yerr=[below.clip(lower=0), above.clip(lower=0)], elinewidth=1, **looks)


def published_curve(ax: Axes, rows: pd.DataFrame, method: str) -> None:
    """Thin line with hollow marks against x, for numbers of others."""
    ax.plot(rows["x"], rows["value"], **_published(method))
    ax.set_facecolor(PAPER_SHADE)


def published_arms(methods: Iterable[str], titles: Mapping[str, str]) -> list[Artist]:
    """Legend entries of published curves."""
    return [Line2D([], [], label=titles[method], **_published(method)) for method in in_order(methods)]


def _published(method: str) -> dict[str, Any]:
    drawn = look(method)
    looks = {**drawn.marks, "fillstyle": "full", "markerfacecolor": PAPER_SHADE, "linestyle": drawn.line}
    return {**looks, "linewidth": 1, "markersize": 3.5}


def plain_numbers(axis: Axis) -> None:
    """Write the ticks of a logarithmic axis, on which all is drawn, as plain numbers: more of them on a short one."""
    low, high = axis.get_view_interval()
    axis.set_major_locator(
        LogLocator(
            subs=(1, 2, 5) if high < 100 * low else (1,), numticks=max(4, min(axis.get_tick_space(), MOST_TICKS))
        )
    )
    axis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axis.set_minor_locator(NullLocator())


def _plain(value: float) -> str:
    """Write a number as it is read, as a power of ten where it would be long."""
    leading, power = f"{value:e}".split("e")
    factor = float(leading)
    if (1e-3 <= value < 1e4) or (factor != 1 and value < 1e6):
        return f"{value:g}"
    return ("" if factor == 1 else f"{factor:g}·") + f"10{str(int(power)).translate(SUPERSCRIPTS)}"


def ramp(first: str, last: str) -> Colormap:
    """Colours between two, and that of missing values."""
    return LinearSegmentedColormap.from_list("ramp", [first, last]).with_extremes(bad=MISSING)


def layers_axis(ax: Axes, layers: Iterable[int]) -> None:
    """Ticks at layers, thinned out where there are many."""
    numbers = sorted(set(layers))
    ax.set_xticks(numbers[:: ceil(len(numbers) / MOST_TICKS)])
    ax.set_xlabel("layer")


def token_labels(texts: Iterable[str]) -> list[str]:
    """Tokens of a sentence as they are read, without the space before them; one of nothing else is a dot.

    The first gets an ellipsis: the token before it, which is context only, is left out.
    """
    return [("… " if not place else "") + (text.strip() or "·") for place, text in enumerate(texts)]


def counts_axis(ax: Axes, values: Iterable[float], everything: float | None = None) -> None:
    """Logarithmic axis of counts with plain numbers as ticks; `everything` is the size of the full dictionary."""
    shown = sorted(set(values))
    ax.set_xscale("log")
    ticks: list[float] = [tick for tick in (1, 10, 100, 1000, 10000) if shown[0] <= tick <= shown[-1]]
    if len(ticks) < 2 or len(shown) <= FEW - 1:
        ticks = shown
    if everything is not None and everything not in ticks:
        ticks = [tick for tick in ticks if tick <= everything / 3] + [everything]
    ax.set_xticks(ticks, [_plain(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(shown[0] / 1.25, shown[-1] * 1.25)
