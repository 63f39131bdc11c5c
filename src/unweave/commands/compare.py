"""`unweave compare`: one metric of every method, from the score tables of a run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unweave.commands.cells import cell
from unweave.errors import UnweaveError

if TYPE_CHECKING:
    import pandas as pd


def chosen(table: "pd.DataFrame", metric: str, where: dict[str, str]) -> "pd.DataFrame":
    """Rows of a metric for which all of `where` (column to value) hold, best first if it is known which way is better.

    Raises
    ------
    UnweaveError
        if there is no such metric, column or value, naming those that there are.
    """
    found = table[table["metric"] == metric]
    if found.empty:
        raise UnweaveError(f"--metric: no {metric!r}; there are {', '.join(sorted(table['metric'].unique()))}")
    for column, value in where.items():
        if column not in found.columns:
            raise UnweaveError(f"--where: no column {column!r}; there are {', '.join(table.columns)}")
        values = found[column].map(lambda cell: f"{cell:g}" if isinstance(cell, float) else str(cell))
        if value not in set(values):
            raise UnweaveError(f"--where: no {column} is {value!r}; there are {', '.join(sorted(set(values))[:20])}")
        found = found[values == value]
    better = found["higher_is_better"].dropna()
    if len(better):
        found = found.sort_values("value", ascending=not bool(better.iloc[0]), kind="stable")
    return found


def compare(
    folder: Annotated[Path, typer.Argument(help="score tables of one evaluation, such as results/scores/core")],
    metric: Annotated[str, typer.Option(help="name of the metric")],
    where: Annotated[list[str] | None, typer.Option(help="COLUMN=VALUE that rows must have, such as x=10")] = None,
    most: Annotated[int, typer.Option(min=1, help="rows that are printed")] = 50,
) -> None:
    """Print one metric of every dictionary, best first, with intervals."""
    from rich.console import Console
    from rich.table import Table

    from unweave.provenance import require_unchanged
    from unweave.results import scores

    paths = sorted(folder.rglob("*.parquet"))
    if not paths:
        raise UnweaveError(f"{folder}: holds no score table: name a folder below results/scores")
    require_unchanged(paths)
    pairs = dict(pair.partition("=")[::2] for pair in where or [])
    found = chosen(scores.read(paths), metric, pairs)
    table = Table("method", "layer", "seed", "dataset", "label", "x", metric, "95 % interval", "n", box=None)
    for row in found.head(most).to_dict("records"):
        interval = "" if row["ci_low"] != row["ci_low"] else f"{row['ci_low']:.4g} to {row['ci_high']:.4g}"
        x = "" if row["x"] != row["x"] else f"{row['x_name']} {row['x']:g}"
        cells = (row["method"], row["layer"], row["fit_seed"], row["dataset"], row["label"], x)
        table.add_row(*map(cell, cells), f"{row['value']:.4g}", interval, f"{row['n']}")
    console = Console()
    console.print(table)
    if len(found) > most:
        console.print(f"{len(found) - most} more rows: narrow them by --where")
