"""`unweave show`: what is in a result file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from unweave.commands.cells import cell
from unweave.errors import UnweaveError
from unweave.files import MANIFEST
from unweave.provenance import require_unchanged


def _of_activations(path: Path) -> dict[str, Any]:
    from unweave.activations.store import opened, read_attributes

    attributes = read_attributes(path)
    with opened(path) as file:
        rows = {"rows": len(file["tokens/id"]), "documents": len(set(file["tokens/doc"][:].tolist()))}
    return rows | attributes


def _of_manifest(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise UnweaveError(f"{path}: is not readable JSON: delete {path.parent} and run again") from None
    if not isinstance(content, dict):
        raise UnweaveError(f"{path}: holds no manifest")
    return content


def _of_scores(path: Path) -> dict[str, Any]:
    from unweave.results import scores

    table = scores.read([path])
    if table.empty:
        raise UnweaveError(f"{path}: holds no score: delete it and run again")
    first = table.iloc[0]
    facts = {name: first[name] for name in ("evaluation", "model", "revision", "site", "layer", "method", "fit_seed")}
    metrics = {}
    for (metric, dataset), rows in table.groupby(["metric", "dataset"], sort=True):
        low, high = rows["value"].min(), rows["value"].max()
        metrics[f"{metric} on {dataset or 'its own text'}"] = f"{len(rows)} rows, {low:.4g} to {high:.4g}"
    return facts | metrics


READERS = {".h5": _of_activations, ".json": _of_manifest, ".parquet": _of_scores}


def contents(path: Path) -> dict[str, Any]:
    """Facts about a result: an activation file, a manifest (or the folder that holds it), a score table or a sidecar.

    Raises
    ------
    UnweaveError
        if it is none of these, missing, damaged or not as it was recorded.
    """
    file = path / MANIFEST if path.is_dir() else path
    if not file.is_file():
        raise UnweaveError(f"{file}: no such file: name a file or folder below results/")
    if file.suffix not in READERS:
        known = ", ".join(READERS)
        raise UnweaveError(f"{file}: only {known} files and folders with a manifest can be shown")
    require_unchanged([file])
    return READERS[file.suffix](file)


def flattened(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested facts as one level of dotted names, long values cut."""
    found: dict[str, str] = {}
    for name, value in content.items():
        if isinstance(value, Mapping):
            found |= flattened(value, f"{prefix}{name}.")
        else:
            text = str(value)
            found[f"{prefix}{name}"] = text if len(text) <= 160 else f"{text[:157]}..."
    return found


def show(
    path: Annotated[Path, typer.Argument(help="activation file, dictionary or model folder, score table")],
) -> None:
    """Print what a result file holds."""
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    for name, value in flattened(contents(path)).items():
        table.add_row(name, cell(value))
    Console().print(table)
