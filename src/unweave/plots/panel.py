"""What a panel shows: one metric of every arm, as points, against a free variable, or by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from unweave.errors import UnweaveError
from unweave.plots import style
from unweave.plots.selection import SITES, Titles, title

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
    control_title: str = ""
    """How the legend calls the control, if not by its label."""
    dataset: str | None = None
    """Corpus; None for the mean over corpora."""
    log_x: bool = False
    log_y: bool = False
    limit: float | None = None
    """Where a line is drawn: chance, or what is planted."""
    limit_title: str = "chance"
    categories: tuple[str, ...] = ()
    """Names of the values 1, 2, ... of `x_name`, which have no order then."""

    @property
    def is_curve(self) -> bool:
        """Whether arms are curves over a free variable."""
        return self.x_name != "" and self.at is None

    @property
    def control_name(self) -> str:
        """What the legend calls the control, empty without one."""
        return self.control_title or self.control or ""


@dataclass(frozen=True)
class Selection:
    """Which arms a figure shows, and at which layer."""

    scores: pd.DataFrame
    """Rows with the column `arm`."""
    titles: Mapping[str, str]
    """Arm to what it is called."""
    layer: int
    model: str
    _found: dict[Panel, list[tuple[bool, pd.DataFrame]]] = field(default_factory=dict, init=False, repr=False)

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
            + ("" if row.site == usual else f" at the {SITES.get(str(row.site), row.site)}")
            + ("" if row.model == model else ", model without training")
            for row in found.itertuples()
        }
        per_layer = arms[arms["model"] == model]["layer"].value_counts()
        layer = int(min(per_layer[per_layer == per_layer.max()].index))
        keys = scores["model"] + " " + scores["site"] + " " + scores["method"]
        return cls(scores.assign(arm=keys), names, layer, model)

    @cached_property
    def arms(self) -> list[str]:
        """In the order of legends."""
        methods = dict(zip(self.scores["arm"], self.scores["method"], strict=True))
        order = {method: place for place, method in enumerate(style.in_order(methods.values()))}
        usual = self.scores["site"].mode().iloc[0]

        def place(arm: str) -> tuple[bool, int, bool, str]:
            model, site, _ = arm.split(" ")
            return model != self.model, order[methods[arm]], site != usual, arm

        return sorted(methods, key=place)

    def look(self, arm: str) -> style.Look:
        """Look of an arm; a method has another line at its second site."""
        model, _, method = arm.split(" ")
        found = style.look(method)
        first = next(other for other in self.arms if other.startswith(f"{model} ") and other.endswith(f" {method}"))
        return found if arm == first else replace(found, line=style.OTHER_SITE)

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

    def both(self, panel: Panel) -> list[tuple[bool, pd.DataFrame]]:
        """Rows of the arms, then of their control: whether they are the control's, and the rows."""
        if panel not in self._found:
            labels = [panel.label] if panel.control is None else [panel.label, panel.control]
            self._found[panel] = [(place > 0, self.rows(panel, label)) for place, label in enumerate(labels)]
        return self._found[panel]

    def present(self, panels: Sequence[Panel]) -> list[str]:
        """Arms that any of the panels shows, in the order of legends."""
        found = {arm for panel in panels for _, rows in self.both(panel) for arm in rows["arm"]}
        return [arm for arm in self.arms if arm in found]
