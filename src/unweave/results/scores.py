"""The one tidy table that every evaluation writes: a row is one number with its key, sample size and interval."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from unweave.errors import UnweaveError
from unweave.files import staged_file

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Score:
    """One number. An evaluation fills these; `ScoreKey` says which dictionary they belong to."""

    metric: str
    value: float
    dataset: str
    """Corpus that it was measured on."""
    n: int
    """Sample size behind the value: tokens, texts or directions."""
    unit: str
    higher_is_better: bool | None
    ci_low: float | None = None
    """95 % interval; None where the value is exact."""
    ci_high: float | None = None
    x_name: str = ""
    """Name of the free variable (k, quantile, token), if the metric is a curve."""
    x: float | None = None
    label: str = ""
    """Free key: a class, a token, a baseline."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class ScoreKey:
    """What the numbers were measured on, the same for all rows of one table."""

    model: str
    revision: str
    site: str
    layer: int
    method: str
    fit_seed: int
    """Seed of the dictionary; `seed` is that of the evaluation's own draws."""
    evaluation: str
    device: str
    code: str
    """Fingerprint of the evaluation's code."""
    spec: str
    """Hash of the settings of the method and the evaluation."""


COLUMNS: dict[str, str] = {
    **dict.fromkeys(("model", "revision", "site"), "string"),
    "layer": "int64",
    "method": "string",
    "fit_seed": "int64",
    **dict.fromkeys(("evaluation", "dataset", "metric", "label", "x_name"), "string"),
    "x": "float64",
    "value": "float64",
    "ci_low": "float64",
    "ci_high": "float64",
    "n": "int64",
    "seed": "int64",
    "unit": "string",
    "higher_is_better": "boolean",
    **dict.fromkeys(("device", "code", "spec"), "string"),
}
"""Column to pandas type, in the order of the file."""


def table(key: ScoreKey, scores: Iterable[Score]) -> "pd.DataFrame":
    """Rows of `scores` with the columns of COLUMNS.

    Raises
    ------
    UnweaveError
        if a value is not finite: a score that could not be computed is an error, never a gap.
    """
    import numpy as np
    import pandas as pd

    rows = [{**asdict(key), **asdict(score)} for score in scores]
    for row in rows:
        if not np.isfinite(row["value"]):
            raise UnweaveError(
                f"{row['evaluation']} of {row['method']} at layer {row['layer']}: {row['metric']} on {row['dataset']} "
                f"is {row['value']}: the activations or the dictionary are degenerate"
            )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def write(path: Path, scores: "pd.DataFrame") -> None:
    """Write a score table as parquet, atomically and byte-stable."""
    if list(scores.columns) != list(COLUMNS):
        raise UnweaveError(f"{path}: columns {list(scores.columns)} are not those of a score table")
    with staged_file(path) as partial:
        scores.to_parquet(partial, index=False, compression="zstd")


def read(paths: Iterable[Path]) -> "pd.DataFrame":
    """One table of all rows of the given score files.

    Raises
    ------
    UnweaveError
        if a file is damaged or has other columns.
    """
    import pandas as pd
    from pyarrow import ArrowException

    tables = []
    for path in paths:
        try:
            scores = pd.read_parquet(path)
        except (OSError, ValueError, TypeError, LookupError, AttributeError, MemoryError, ArrowException) as error:
            raise UnweaveError(f"{path}: not a readable score table ({error}): delete it and run again") from None
        if list(scores.dtypes.astype(str).items()) != list(COLUMNS.items()):
            raise UnweaveError(f"{path}: its columns are not those of a score table: delete it and run again")
        tables.append(scores)
    return pd.concat(tables, ignore_index=True)


assert {field.name for part in (Score, ScoreKey) for field in fields(part)} == set(COLUMNS)
