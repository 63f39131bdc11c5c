"""Picking the rows of a score table that a figure shows, and the tidy table of what it drew."""

from collections.abc import Mapping

import pandas as pd

from unweave.errors import UnweaveError

Titles = Mapping[str, Mapping[str, str]]
"""`methods`, `datasets` and `models`: key to the name that figures print."""

THIS_RUN = "this run"
COLUMNS = (
    *("panel", "source", "model", "layers", "method", "title", "dataset", "metric", "label", "x_name", "x"),
    *("value", "ci_low", "ci_high", "n", "unit"),
)
"""Columns of the table behind every figure."""

SITES = {
    "resid": "residual stream",
    "attn_out": "attention output",
    "mlp_in": "MLP input",
    "mlp_neurons": "MLP neurons",
    "mlp_out": "MLP output",
}
"""Hook point to the name that figures print."""

FLOATS = ("x", "value", "ci_low", "ci_high")
KEYS = ("model", "layer", "method", "dataset", "metric", "label", "x_name", "x", "unit")
HELDOUT = "-heldout"
"""A corpus `x-heldout` holds documents of the data set of corpus `x` that no method has seen."""
UNFILTERED = "-all"
"""A corpus `x-all` holds the documents of corpus `x` with the massive tokens that `x` leaves out."""


def title(titles: Titles, kind: str, key: str) -> str:
    """Return the printed name of a registry key, the key itself if the run gave none."""
    return titles.get(kind, {}).get(key, key)


def subject(scores: pd.DataFrame) -> str:
    """Key of the one model that the scores are about.

    Raises
    ------
    UnweaveError
        if they are about several models, sites or seeds: these figures show one.
    """
    found = scores[["model", "site", "fit_seed"]].drop_duplicates().sort_values(["model", "site", "fit_seed"])
    if len(found) != 1:
        names = ", ".join(f"{model} {site} seed {seed}" for model, site, seed in found.itertuples(index=False))
        raise UnweaveError(
            f"the figure shows one model, site and seed but the scores hold {names}: keep one in the configuration"
        )
    return str(found["model"].iloc[0])


def middle_layer(scores: pd.DataFrame) -> pd.DataFrame:
    """Rows at the middle one of the layers, the later of two."""
    layers = sorted(scores["layer"].unique())
    rows: pd.DataFrame = scores[scores["layer"] == layers[len(layers) // 2]]
    return rows


def measured(
    scores: pd.DataFrame, metric: str, x_name: str | None = None, label: str | None = None, dataset: str | None = None
) -> pd.DataFrame:
    """Rows of one metric, in the order of x.

    Raises
    ------
    UnweaveError
        if there are none.
    """
    rows = scores[scores["metric"] == metric]
    for column, wanted in {"x_name": x_name, "label": label, "dataset": dataset}.items():
        if wanted is not None:
            rows = rows[rows[column] == wanted]
    if rows.empty:
        asked = ", ".join(f"{part!r}" for part in (x_name, label, dataset) if part)
        raise UnweaveError(
            f"no scores of {metric}{' with ' + asked if asked else ''}: add its evaluation to the configuration"
        )
    order = [column for column in ("method", "layer", "dataset", "x") if column in rows]
    return rows.sort_values(order, kind="stable")


def corpora(scores: pd.DataFrame) -> tuple[str, str | None]:
    """Keys of the corpus to judge by (the held-out one, if there is one) and of the corpus that it was held out of."""
    keys = sorted(scores["dataset"].unique())
    judged = next((key for key in keys if key.endswith(HELDOUT)), keys[0])
    fitted = judged.removesuffix(HELDOUT)
    return judged, fitted if fitted != judged and fitted in keys else None


def over_unseen(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over corpora, without those that another corpus of `rows` was held out of."""
    fitted = {key.removesuffix(HELDOUT) for key in rows["dataset"].unique() if key.endswith(HELDOUT)}
    return _mean_over("dataset", rows[~rows["dataset"].isin(fitted)])


def over_layers(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over layers of the arms that were fitted at every layer of `rows`; arms at only some are left out."""
    return _mean_over("layer", rows).rename(columns={"layer": "layers"})


def _mean_over(column: str, rows: pd.DataFrame) -> pd.DataFrame:
    """Plain mean over the values of `column`, whose place their list takes; what lacks one of them is left out.

    The interval is the mean of the intervals. Layers see the same documents, so their errors go together and this is
    about right; it is too wide, never too narrow, where errors are independent.
    """
    members = sorted(rows[column].unique())
    groups = rows.groupby([key for key in KEYS if key != column], sort=False, dropna=False)
    mean = groups.agg(
        value=("value", "mean"),
        ci_low=("ci_low", "mean"),
        ci_high=("ci_high", "mean"),
        n=("n", "min"),
        count=(column, "nunique"),
    ).reset_index()
    mean = mean[mean["count"] == len(members)].drop(columns="count")
    return mean.assign(**{column: " ".join(str(member) for member in members)})


def text_of(layers: str) -> str:
    """Short text of the column `layers`: `layer 5`, or `mean of 3 layers`."""
    numbers = layers.split()
    return f"layer {numbers[0]}" if len(numbers) == 1 else f"mean of {len(numbers)} layers"


def drawn(parts: Mapping[str, pd.DataFrame], titles: Titles) -> pd.DataFrame:
    """Tidy table of what each panel shows, ours and published values alike."""
    tables = []
    for panel, rows in parts.items():
        table = rows.assign(panel=panel)
        if "layers" not in table:
            table["layers"] = table["layer"].astype("string")
        if "source" in table:
            table["source"] = "published " + table["version"] + " (" + table["source"] + ")"
        else:
            table["source"] = THIS_RUN
        if "title" not in table:
            table["title"] = [title(titles, "methods", method) for method in table["method"]]
        tables.append(table.reindex(columns=list(COLUMNS)).astype({"n": "Int64", **dict.fromkeys(FLOATS, "float64")}))
    return pd.concat(tables, ignore_index=True)
