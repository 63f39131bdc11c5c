"""What fits cost: read from the records beside them, because seconds and memory differ from run to run.

A figure of these numbers shows one machine on one day: the same records give the same bytes, but a new fit has new
records, and nothing that is checked for equality over runs may depend on them. A fit that was killed and went on from
its checkpoint has the seconds since then alone.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unweave.errors import UnweaveError
from unweave.files import MANIFEST, sha256_of
from unweave.methods.dictionary import read_manifest
from unweave.provenance import read_record, sidecar

if TYPE_CHECKING:
    import pandas as pd

FIT = ("model", "site", "layer", "method", "seed", "device")
MEASURED = ("wall_seconds", "peak_memory_bytes", "threads", "machine", "host", "finished_at")
"""Columns that differ from run to run; the memory is that of the whole process, its libraries included."""
COLUMNS = (*FIT, "rows", "tokens", *MEASURED)


def fit_costs(folders: Iterable[Path]) -> "pd.DataFrame":
    """One row for each dictionary folder, with the columns of COLUMNS.

    `rows` are the tokens that there were to learn from; `tokens` those that training was shown, repetitions included,
    and missing where a method does not learn in batches but reads all rows in every pass.

    Raises
    ------
    UnweaveError
        if a manifest or its record is missing or damaged, or the record is of another fit.
    """
    import pandas as pd

    table = pd.DataFrame([_cost(folder) for folder in folders], columns=list(COLUMNS))
    return table.astype({"tokens": "Int64"})


def _cost(folder: Path) -> dict[str, Any]:
    description, diagnostics = (read_manifest(folder)[part] for part in ("description", "diagnostics"))
    path = sidecar(folder / MANIFEST)
    try:
        recorded = read_record(folder / MANIFEST)
        fitted, measured = recorded["sha256"], {name: recorded[name] for name in MEASURED}
    except (OSError, KeyError):
        raise UnweaveError(f"{path}: not a readable record of a fit: delete {folder} and run again") from None
    if fitted != sha256_of(folder / MANIFEST):
        raise UnweaveError(f"{path}: is the record of another fit than {folder}: delete both and run again")
    return {
        **{name: description[name] for name in FIT},
        "rows": description["data"]["n"],
        "tokens": tokens_shown(description["settings"], diagnostics),
        **measured,
    }


def tokens_shown(settings: dict[str, Any], diagnostics: dict[str, Any]) -> int | None:
    """Tokens that training in batches was shown: steps that were made times tokens of a step; None without batches.

    Where the steps are not in the diagnostics, they are as many as the settings say.
    """
    if "tokens" not in settings or "batch_size" not in settings:
        return None
    batch_size = int(settings["batch_size"])
    steps = diagnostics.get("steps")
    return batch_size * (max(1, settings["tokens"] // batch_size) if steps is None else int(steps))
