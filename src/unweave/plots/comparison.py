"""Arms side by side: rows of panels, each one metric as points, against a free variable, or by layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from string import ascii_uppercase
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import LETTER, MARGIN, WIDTH, Frame, sheet
from unweave.plots.panel import LAYER, Panel, Selection
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import grid, with_interval
from unweave.results.references import References

HEADLINE = ("ica-v2", "bae", "snmf", "sasa", "sae-topk", "pca", "random", "sae-untrained")
"""Arms of curves: one of each lens, the usual rival, and what has learned nothing."""
CURVE_HEIGHT, ROW_HEIGHT, POINTS_FRAME, POINTS_GAP, AXIS_LINE = 2.3, 0.165, 0.8, 0.25, 0.13
CONTROL_LINES = (":", (0, (3, 2)), (0, (5, 1.2, 1, 1.2)), (0, (1, 3)))
"""Line styles of the controls of curves, in the order in which they are named."""
DODGE = 1.6
"""Points between the intervals of arms at the same place of a curve."""
LIMIT: Mapping[str, Any] = {"color": style.MUTED, "linewidth": 0.8, "linestyle": "-"}
ALIKE = 1e-6
"""Arms whose curves differ by no more than this part of them are one curve."""


@style.house()
def draw(
    scores: pd.DataFrame,
    titles: Titles,
    references: References,
    panels: Sequence[Sequence[Panel]],
    headline: Sequence[str] = HEADLINE,
    *,
    planted: bool = False,
) -> tuple[Figure, pd.DataFrame]:
    """Draw rows of panels and return the tidy table behind them.

    Parameters
    ----------
    panels
        Rows of panels. Those of a row are all points or all curves.
    headline
        Arms of curves, as far as they were evaluated.
    planted
        Whether the scores are of planted data, in which no language model takes part.
    """
    everything = Selection.of(scores, titles)
    # The layer that most of the leading arms have may be another one than the layer that the foot names.
    leading = replace(Selection.of(scores, titles, headline), layer=everything.layer)
    flat = [panel for row in panels for panel in row]
    controls = {name: CONTROL_LINES[place] for place, name in enumerate(_names(flat, "control_name"))}
    heights = [CURVE_HEIGHT if row[0].is_curve else points_height(everything, row) for row in panels]
    tables = {panel: (leading if panel.is_curve else everything).both(panel) for panel in flat}
    if planted:
        remark = references.planted_remark()
    else:
        ran = references.remark(everything.model, title(titles, "models", everything.model))
        remark = f"{ran}; layer {everything.layer}"
    bare = [
        letter for letter, panel in zip(ascii_uppercase, flat, strict=False) if not _measures_intervals(tables[panel])
    ]
    if bare:
        remark += f"\nno interval: {', '.join(bare)}"
    parts: dict[str, pd.DataFrame] = {}
    letters = iter(ascii_uppercase)
    frames = sheet(heights, _legend(flat, tables, leading, controls), remark)
    for frame, row in zip(frames, panels, strict=True):
        parts |= (
            _curve_row(frame, row, leading, letters, controls)
            if row[0].is_curve
            else points(frame, row, everything, letters)
        )
    return frames[0].figure, drawn(parts, titles)


Tables = Mapping[Panel, Sequence[tuple[bool, pd.DataFrame]]]


def _names(panels: Sequence[Panel], field: str) -> list[str]:
    return [name for name in dict.fromkeys(getattr(panel, field) for panel in panels) if name]


def _measures_intervals(tables: Sequence[tuple[bool, pd.DataFrame]]) -> bool:
    return any(rows["ci_low"].notna().any() for control, rows in tables if not control)


def _legend(panels: Sequence[Panel], tables: Tables, leading: Selection, controls: Mapping[str, Any]) -> list[Artist]:
    """Entries for everything that the panels draw and rows do not name."""
    curves = [panel for panel in panels if panel.is_curve]
    dots = [panel for panel in panels if not panel.is_curve]
    handles: list[Artist] = [_handle(leading, arm) for arm in leading.arms] if curves else []
    if any(_alike(rows) for panel in curves for control, rows in tables[panel] if not control):
        handles.append(Line2D([], [], color=style.MUTED, label="the same for all arms"))
    for name, line in controls.items():
        looks: dict[str, Any] = {"linestyle": line if name in _names(curves, "control_name") else "", "linewidth": 1}
        if name in _names(dots, "control_name"):
            looks |= {"marker": "o", "markerfacecolor": "white"}
        handles.append(Line2D([], [], color=style.MUTED, label=f"control: {name}", **looks))
    limits = _names([panel for panel in panels if panel.limit is not None], "limit_title")
    handles += [Line2D([], [], **LIMIT, label=name) for name in limits]
    if any(_measures_intervals(tables[panel]) for panel in dots):
        handles.append(Line2D([], [], color=style.MUTED, marker="o", label="value and 95 % interval"))
    elif any(_measures_intervals(tables[panel]) for panel in curves):
        handles.append(Patch(color=style.MUTED, alpha=0.3, linewidth=0, label="bars and bands: 95 % interval"))
    return handles or [Line2D([], [], color=style.MUTED, marker="o", linestyle="", label="value")]


def points_height(selection: Selection, row: Sequence[Panel]) -> float:
    """Inches that a row of panels of points needs."""
    lines = max(text.count("\n") for text in _axes_say(selection, row))
    return POINTS_FRAME + ROW_HEIGHT * len(selection.present(row)) + AXIS_LINE * lines


def _left(selection: Selection, row: Sequence[Panel]) -> float:
    """Inches for the names of the arms."""
    return 0.25 + LETTER * max(len(selection.titles[arm]) for arm in selection.present(row))


def _axes_say(selection: Selection, row: Sequence[Panel]) -> list[str]:
    """Break what the axes of a row of points measure where an axis is too short for it."""
    inches = (WIDTH - _left(selection, row) - MARGIN - POINTS_GAP * (len(row) - 1)) / len(row)
    return [fill(panel.axis, int(inches / LETTER), break_long_words=False) for panel in row]


def _handle(selection: Selection, arm: str) -> Artist:
    look = selection.look(arm)
    return Line2D([], [], linestyle=look.line, label=selection.titles[arm], **look.marks)


def _curve_row(
    frame: Frame,
    row: Sequence[Panel],
    selection: Selection,
    letters: Iterator[str],
    controls: Mapping[str, Any],
) -> dict[str, pd.DataFrame]:
    parts: dict[str, pd.DataFrame] = {}
    for ax, panel in zip(frame.axes(len(row), left=0.75, gap=(0.75, 0)), row, strict=True):
        letter = next(letters)
        tables = selection.both(panel)
        for hollow, rows in tables:
            line = controls[panel.control_name] if hollow else "-"
            if _alike(rows):
                one = rows[rows["arm"] == rows["arm"].iloc[0]]
                ax.plot(one["x"], one["value"], color=style.MUTED, linestyle=line, linewidth=1)
                continue
            arms = list(rows.groupby("arm", sort=False))
            for place, (arm, of_arm) in enumerate(arms):
                look = selection.look(str(arm))
                if hollow:
                    ax.plot(of_arm["x"], of_arm["value"], color=look.colour, linestyle=line, linewidth=1)
                else:
                    shift = DODGE * (place - (len(arms) - 1) / 2)
                    style.curve(ax, of_arm, look, shift=shift, joined=not panel.categories)
        parts[letter] = pd.concat([rows for _, rows in tables], ignore_index=True)
        _curve_axes(ax, panel, sorted(parts[letter]["x"].unique()))
        ax.set_title(f"{letter}  {panel.title}")
    return parts


def _alike(rows: pd.DataFrame) -> bool:
    """Whether several arms have one curve, since the number is none of theirs."""
    spread = rows.groupby("x")["value"].agg(["min", "max"])
    return rows["arm"].nunique() > 1 and bool(
        (spread["max"] - spread["min"]).max() <= ALIKE * rows["value"].abs().max()
    )


def _curve_axes(ax: Axes, panel: Panel, values: Sequence[float]) -> None:
    if panel.x_name == LAYER:
        style.layers_axis(ax, [int(x) for x in values])
    elif panel.log_x:
        style.counts_axis(ax, [x for x in values if x > 0])
    elif panel.categories:
        ax.set_xticks(range(1, len(panel.categories) + 1), panel.categories)
        ax.set_xlim(0.5, len(panel.categories) + 0.5)
    elif len(values) <= style.FEW:
        ax.set_xticks(values)
    if panel.x_name != LAYER:
        ax.set_xlabel(panel.x_title or panel.x_name)
    if panel.limit is not None:
        ax.axhline(panel.limit, **LIMIT)
    ax.set_ylabel(panel.axis)
    if panel.log_y:
        ax.set_yscale("log")
        style.plain_numbers(ax.yaxis)


def points(frame: Frame, row: Sequence[Panel], selection: Selection, letters: Iterator[str]) -> dict[str, pd.DataFrame]:
    """Fill a frame with panels of points and return their tables by letter; the first panel names the arms."""
    arms, said = selection.present(row), _axes_say(selection, row)
    place = {arm: -number for number, arm in enumerate(arms)}
    bottom = 0.48 + AXIS_LINE * max(text.count("\n") for text in said)
    axes = frame.axes(len(row), left=_left(selection, row), bottom=bottom, gap=(POINTS_GAP, 0))
    parts: dict[str, pd.DataFrame] = {}
    for number, (ax, panel) in enumerate(zip(axes, row, strict=True)):
        letter = next(letters)
        tables = selection.both(panel)
        if panel.log_x:
            ax.set_xscale("log")
        for hollow, rows in tables:
            for arm, of_arm in rows.groupby("arm", sort=False):
                _point(ax, of_arm.iloc[0], selection.look(str(arm)), place[str(arm)], hollow=hollow)
        parts[letter] = pd.concat([rows for _, rows in tables], ignore_index=True)
        for arm in (arm for arm in arms if arm not in set(parts[letter]["arm"])):
            ax.text(
                0.02, place[arm], "not measured", transform=ax.get_yaxis_transform(), va="center", color=style.MUTED
            )
        if panel.limit is not None:
            ax.axvline(panel.limit, **LIMIT)
        ax.set_yticks([place[arm] for arm in arms], [selection.titles[arm] for arm in arms] if not number else [])
        ax.set_ylim(-len(arms) + 0.3, 0.7)
        ax.grid(visible=True, axis="both")
        ax.set_xlabel(said[number])
        if panel.log_x:
            style.plain_numbers(ax.xaxis)
        ax.set_title(f"{letter}  {panel.title}")
    return parts


def _point(ax: Axes, row: pd.Series, look: style.Look, place: float, *, hollow: bool) -> None:
    """Value of an arm with its interval; on a logarithmic axis nothing is written as 0 at its edge."""
    y = place - (0.25 if hollow else 0)
    if ax.get_xscale() == "log" and row["value"] <= 0:
        ax.text(0.02, y, "0", transform=ax.get_yaxis_transform(), va="center", color=look.colour)
        return
    face = {"markerfacecolor": "white", "fillstyle": "full"} if hollow else {}
    ax.plot([row["ci_low"], row["ci_high"]], [y, y], color=look.colour, linewidth=1, clip_on=False)
    ax.plot([row["value"]], [y], linestyle="", clip_on=False, **{**look.marks, **face})


def printed(data: pd.DataFrame, panels: Sequence[Sequence[Panel]]) -> pd.DataFrame:
    """Cells of a table of the arms: one column for every panel of points, with the interval.

    Raises
    ------
    UnweaveError
        if two panels would be the same column.
    """
    letters = iter(ascii_uppercase)
    columns: dict[str, pd.Series] = {}
    for panel in (panel for row in panels for panel in row):
        letter = next(letters)
        rows = data[(data["panel"] == letter) & (data["label"] == panel.label)]
        texts = [
            with_interval(numbers)
            for numbers in zip(*(rows[name].tolist() for name in ("value", "ci_low", "ci_high")), strict=True)
        ]
        name = f"{panel.title} ({panel.axis})"
        if name in columns:
            raise UnweaveError(f"two panels of the table are called {name!r}: give them titles of their own")
        columns[name] = pd.Series(texts, index=rows["title"].tolist())
    table = pd.DataFrame(columns)
    order = [name for name in dict.fromkeys(data["title"]) if name in table.index]
    return table.loc[order].rename_axis("arm").reset_index()


def findings(data: pd.DataFrame, panels: Sequence[Sequence[Panel]]) -> str:
    """Say in Markdown what every panel of points holds, highest first, and curves at their last point."""
    parts = []
    letters = iter(ascii_uppercase)
    for panel in (panel for row in panels for panel in row):
        letter = next(letters)
        rows = data[data["panel"] == letter]
        own, control = rows[rows["label"] == panel.label], rows[rows["label"] == panel.control]
        where = ""
        if panel.is_curve:
            own, control = (part[part["x"] == part.groupby("title")["x"].transform("max")] for part in (own, control))
            ends = sorted(own["x"].unique())
            where = f" at {panel.x_name} = {ends[0]:g}" if len(ends) == 1 else f" at the last {panel.x_name}"
        beside = {name: f"{value:.3g}" for name, value in zip(control["title"], control["value"], strict=True)}
        ranked = own.sort_values("value", ascending=False, kind="stable")
        columns = [ranked[column].tolist() for column in ("title", "value", "ci_low", "ci_high")]
        cells = [
            [name, with_interval(numbers), *([beside.get(name, "")] if panel.control else [])]
            for name, *numbers in zip(*columns, strict=True)
        ]
        header = [
            f"{letter}: {panel.axis}{where}",
            "value (95 % interval)",
            *([panel.control_name] if panel.control else []),
        ]
        parts.append(grid(header, cells))
    return "\n".join(parts)
