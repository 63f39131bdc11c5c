"""Arms side by side: rows of panels, each one metric as points, against a free variable, or by layer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.layout import LETTER, Frame, sheet
from unweave.plots.selection import Titles, drawn, title
from unweave.plots.sentences import grid
from unweave.results.references import References

HEADLINE = ("ica-v2", "bae", "snmf", "sasa", "sae-topk", "pca", "random", "sae-untrained")
"""Arms of curves: one of each lens, the usual rival, and what has learned nothing."""
CURVE_HEIGHT, ROW_HEIGHT, POINTS_FRAME = 2.3, 0.165, 0.8
LAYER = "layer"


@dataclass(frozen=True)
class Panel:
    """What one panel shows."""

    metric: str
    title: str
    axis: str
    """What the measured axis says: the quantity with its unit."""
    x_name: str = ""
    """Free variable of a curve, `layer` for a curve over layers; without one, arms are points in rows."""
    x_title: str = ""
    at: float | None = None
    """Value of `x_name` at which arms are points in rows."""
    label: str = ""
    """Rows of the arms themselves."""
    control: str | None = None
    """Label of the rows that are drawn hollow: what the same number is without what it measures."""
    dataset: str | None = None
    """Corpus; None for the mean over corpora."""
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None
    """Where a line is drawn: chance, or what is planted."""

    @property
    def is_curve(self) -> bool:
        """Whether arms are curves over a free variable."""
        return self.x_name != "" and self.at is None


@dataclass(frozen=True)
class Selection:
    """Which arms a figure shows, and at which layer."""

    scores: pd.DataFrame
    """Rows with the column `arm`."""
    titles: Mapping[str, str]
    """Arm to what it is called."""
    layer: int
    model: str

    @classmethod
    def of(cls, scores: pd.DataFrame, titles: Titles, methods: Sequence[str] | None = None) -> "Selection":
        """Take the given methods, or all, at the layer that most arms have; an arm is a method at a site of a model.

        Raises
        ------
        UnweaveError
            if there are no scores of them.
        """
        if methods is not None:
            scores = scores[scores["method"].isin(methods)]
        if scores.empty:
            raise UnweaveError("no scores of the methods that this figure shows: add them to the configuration")
        arms = scores[["model", "site", "layer", "method"]].drop_duplicates()
        model = str(arms["model"].mode().iloc[0])
        usual = str(arms.loc[arms["model"] == model, "site"].mode().iloc[0])
        found = arms.assign(arm=[f"{m} {s} {k}" for m, s, k in zip(arms.model, arms.site, arms.method, strict=True)])
        names = {
            str(row.arm): title(titles, "methods", str(row.method))
            + ("" if row.site == usual else f" at {row.site}")
            + ("" if row.model == model else ", model without training")
            for row in found.itertuples()
        }
        per_layer = arms[arms["model"] == model]["layer"].value_counts()
        layer = int(min(per_layer[per_layer == per_layer.max()].index))
        keys = scores["model"] + " " + scores["site"] + " " + scores["method"]
        return cls(scores.assign(arm=keys), names, layer, model)

    @property
    def arms(self) -> list[str]:
        """In the order of legends."""
        methods = dict(zip(self.scores["arm"], self.scores["method"], strict=True))
        order = {method: place for place, method in enumerate(style.in_order(methods.values()))}
        return sorted(methods, key=lambda arm: (arm.split(" ")[0] != self.model, order[methods[arm]], arm))

    def rows(self, panel: Panel, label: str) -> pd.DataFrame:
        """Rows of one panel with one label, mean over corpora unless the panel names one.

        Raises
        ------
        UnweaveError
            if there are none.
        """
        table = self.scores[(self.scores["metric"] == panel.metric) & (self.scores["label"] == label)]
        if panel.dataset is not None:
            table = table[table["dataset"] == panel.dataset]
        if panel.x_name != LAYER:
            table = table[(table["layer"] == self.layer) & (table["x_name"] == panel.x_name)]
        else:
            table = table[table["x_name"] == ""]
        if panel.at is not None:
            table = table[table["x"] == panel.at]
        if table.empty:
            raise UnweaveError(f"no scores of {panel.metric} ({label or 'the arms'}): add its evaluation")
        keys = ["arm", "model", "method", "layer", "metric", "label", "x_name", "x", "unit"]
        mean = table.groupby(keys, sort=False, dropna=False).agg(
            value=("value", "mean"),
            ci_low=("ci_low", "mean"),
            ci_high=("ci_high", "mean"),
            n=("n", "min"),
            dataset=("dataset", lambda names: " ".join(sorted(set(names)))),
        )
        rows = mean.reset_index()
        if panel.x_name == LAYER:
            rows = rows.assign(x_name=LAYER, x=rows["layer"].astype("float64"))
        rows["title"] = [self.titles[arm] for arm in rows["arm"]]
        place = {arm: number for number, arm in enumerate(self.arms)}
        return rows.sort_values(["arm", "x"], key=lambda c: c.map(place) if c.name == "arm" else c, kind="stable")


@style.house()
def draw(
    scores: pd.DataFrame,
    titles: Titles,
    references: References,
    panels: Sequence[Sequence[Panel]],
    headline: Sequence[str] = HEADLINE,
) -> tuple[Figure, pd.DataFrame]:
    """Draw rows of panels and return the tidy table behind them.

    Parameters
    ----------
    panels
        Rows of panels. Those of a row are all points or all curves.
    headline
        Arms of curves, as far as they were evaluated.
    """
    everything = Selection.of(scores, titles)
    leading = Selection.of(scores, titles, headline)
    controls: list[str] = [panel.control for row in panels for panel in row if panel.control]
    curves = any(panel.is_curve for row in panels for panel in row)
    handles: list[Artist] = [_handle(leading, arm) for arm in leading.arms] if curves else []
    handles += [
        Line2D([], [], color=style.MUTED, marker="o", markerfacecolor="white", linestyle=":", label=f"control: {name}")
        for name in dict.fromkeys(controls)
    ]
    if not handles:
        handles = [Line2D([], [], color=style.MUTED, marker="o", linestyle="-", label="value and 95 % interval")]
    heights = [
        CURVE_HEIGHT if row[0].is_curve else POINTS_FRAME + ROW_HEIGHT * _points_height(everything, row)
        for row in panels
    ]
    remark = references.remark(everything.model, title(titles, "models", everything.model))
    parts: dict[str, pd.DataFrame] = {}
    letters = iter(ascii_uppercase)
    frames = sheet(heights, handles, f"{remark}; points at layer {everything.layer}")
    for frame, row in zip(frames, panels, strict=True):
        parts |= (
            _curve_row(frame, row, leading, letters) if row[0].is_curve else points(frame, row, everything, letters)
        )
    return frames[0].figure, drawn(parts, titles)


def _points_height(selection: Selection, row: Sequence[Panel]) -> int:
    return len({arm for panel in row for arm in selection.rows(panel, panel.label)["arm"]})


def _handle(selection: Selection, arm: str) -> Artist:
    look = style.look(arm.split(" ")[-1])
    return Line2D([], [], linestyle=look.line, label=selection.titles[arm], **look.marks)


def _both(selection: Selection, panel: Panel) -> Iterator[tuple[bool, pd.DataFrame]]:
    """Rows of the arms, then of their control."""
    yield False, selection.rows(panel, panel.label)
    if panel.control is not None:
        yield True, selection.rows(panel, panel.control)


def _curve_row(
    frame: Frame, row: Sequence[Panel], selection: Selection, letters: Iterator[str]
) -> dict[str, pd.DataFrame]:
    parts: dict[str, pd.DataFrame] = {}
    for ax, panel in zip(frame.axes(len(row), left=0.65, gap=(0.65, 0)), row, strict=True):
        letter, shown = next(letters), []
        for hollow, rows in _both(selection, panel):
            shown.append(rows)
            for arm, of_arm in rows.groupby("arm", sort=False):
                method = str(arm).split(" ")[-1]
                if hollow:
                    ax.plot(of_arm["x"], of_arm["value"], color=style.look(method).colour, linestyle=":", linewidth=1)
                else:
                    style.curve(ax, of_arm, method)
        parts[letter] = pd.concat(shown, ignore_index=True)
        values = sorted(parts[letter]["x"].unique())
        if panel.x_name == LAYER:
            style.layers_axis(ax, [int(x) for x in values])
        elif panel.log_x:
            style.counts_axis(ax, [x for x in values if x > 0])
            ax.set_xlabel(panel.x_title or panel.x_name)
        else:
            ax.set_xlabel(panel.x_title or panel.x_name)
        ax.set_title(f"{letter}  {panel.title}")
        if panel.limit is not None:
            ax.axhline(panel.limit, color=style.MUTED, linestyle=":", linewidth=1)
        ax.set_ylabel(panel.axis)
        if panel.log_y:
            ax.set_yscale("log")
            style.plain_numbers(ax.yaxis)
    return parts


def points(frame: Frame, row: Sequence[Panel], selection: Selection, letters: Iterator[str]) -> dict[str, pd.DataFrame]:
    """Fill a frame with panels of points and return their tables by letter; the first panel names the arms."""
    tables = {panel: list(_both(selection, panel)) for panel in row}
    present = {arm for tabled in tables.values() for _, rows in tabled for arm in rows["arm"]}
    arms = [arm for arm in selection.arms if arm in present]
    place = {arm: -number for number, arm in enumerate(arms)}
    left = 0.25 + LETTER * max(len(selection.titles[arm]) for arm in arms)
    parts: dict[str, pd.DataFrame] = {}
    for number, (ax, panel) in enumerate(zip(frame.axes(len(row), left=left, gap=(0.25, 0)), row, strict=True)):
        letter = next(letters)
        for hollow, rows in tables[panel]:
            for arm, of_arm in rows.groupby("arm", sort=False):
                look = style.look(str(arm).split(" ")[-1])
                y = place[str(arm)] - (0.25 if hollow else 0)
                face = {"markerfacecolor": "white", "fillstyle": "full"} if hollow else {}
                ax.plot(of_arm[["ci_low", "ci_high"]].iloc[0], [y, y], color=look.colour, linewidth=1)
                ax.plot(of_arm["value"].iloc[:1], [y], linestyle="", **{**look.marks, **face})
        parts[letter] = pd.concat([rows for _, rows in tables[panel]], ignore_index=True)
        if panel.limit is not None:
            ax.axvline(panel.limit, color=style.MUTED, linestyle=":", linewidth=1)
        ax.set_yticks([place[arm] for arm in arms], [selection.titles[arm] for arm in arms] if not number else [])
        ax.set_ylim(-len(arms) + 0.3, 0.7)
        ax.grid(visible=True, axis="both")
        ax.set_xlabel(panel.axis)
        if panel.log_x:
            ax.set_xscale("log")
            style.plain_numbers(ax.xaxis)
        ax.set_title(f"{letter}  {panel.title}")
    return parts


def printed(data: pd.DataFrame, panels: Sequence[Sequence[Panel]]) -> pd.DataFrame:
    """Cells of a table of the arms: one column for every panel of points, with the interval."""
    letters = iter(ascii_uppercase)
    columns: dict[str, pd.Series] = {}
    for panel in (panel for row in panels for panel in row):
        letter = next(letters)
        rows = data[(data["panel"] == letter) & (data["label"] == panel.label)]
        texts = [
            _number(*numbers)
            for numbers in zip(*(rows[name].tolist() for name in ("value", "ci_low", "ci_high")), strict=True)
        ]
        columns[f"{panel.title} ({panel.axis})"] = pd.Series(texts, index=rows["title"].tolist())
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
            last = own["x"].max()
            own, control = own[own["x"] == last], control[control["x"] == last]
            where = f" at {panel.x_name} = {last:g}"
        beside = {name: f"{value:.3g}" for name, value in zip(control["title"], control["value"], strict=True)}
        ranked = own.sort_values("value", ascending=False, kind="stable")
        columns = [ranked[column].tolist() for column in ("title", "value", "ci_low", "ci_high")]
        cells = [
            [name, _number(*numbers), *([beside.get(name, "")] if panel.control else [])]
            for name, *numbers in zip(*columns, strict=True)
        ]
        header = [
            f"{letter}: {panel.axis}{where}",
            "value (95 % interval)",
            *([panel.control] if panel.control else []),
        ]
        parts.append(grid(header, cells))
    return "\n".join(parts)


def _number(value: float, low: float, high: float) -> str:
    return f"{value:.3g}" if pd.isna(low) else f"{value:.3g} ({low:.3g} to {high:.3g})"
