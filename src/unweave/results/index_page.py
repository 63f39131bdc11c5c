"""One page with every figure, that opens from disk and needs no network."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from unweave.errors import UnweaveError
from unweave.provenance import read_record, sidecar

PAPERS = {
    "comparison": "All four, compared",
    "ica": "ICA Lens",
    "bae": "Binary Autoencoder",
    "snmf": "Semi-NMF of MLP activations",
    "sasa": "Subspace-Aware Sparse Autoencoders",
}
SCORECARD = Path("comparison", "scorecard.csv")
"""Where the verdicts lie, seen from the page."""
VERDICTS = ("holds", "fails", "undecided", "not testable here")


def page(folder: Path, checklist: Path, items: Sequence[Mapping[str, Any]]) -> str:
    """Fill in the page that lies in `folder`, beside the figures of each paper.

    `items` hold paper, item, title and needs. Verdicts are those of the scorecard, if it was made.

    Raises
    ------
    UnweaveError
        if one of these tables cannot be read, or names an unknown paper.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("unweave.results"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    card = folder / SCORECARD
    verdicts = _table(card, ["paper", "verdict"]) if card.exists() else pd.DataFrame(columns=["paper", "verdict"])
    papers = [
        {
            "key": paper,
            "title": title,
            "items": [
                {**item, "seconds": _seconds(folder / paper / f"{item['item']}.csv")}
                for item in items
                if item["paper"] == paper
            ],
            "verdicts": {
                verdict: int(((verdicts["paper"] == paper) & (verdicts["verdict"] == verdict)).sum())
                for verdict in VERDICTS
            },
        }
        for paper, title in PAPERS.items()
    ]
    missing = _table(checklist, ["paper", "printed", "shows", "status", "reason"])
    if unknown := sorted(set(map(str, missing["paper"])) - PAPERS.keys()):
        raise UnweaveError(f"{checklist}: unknown paper {unknown[0]!r}: delete it and run again")
    return environment.get_template("index.html").render(
        papers=[paper for paper in papers if paper["items"]],
        missing=missing[missing["status"] != "made"].to_dict("records"),
        titles=PAPERS,
    )


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UnweaveError(f"{path}: not a readable table ({error}): delete it and run again") from None
    if lacking := [column for column in columns if column not in table.columns]:
        raise UnweaveError(f"{path}: has no column {lacking[0]}: delete it and run again")
    return table


def _seconds(drawn: Path) -> float | None:
    """How long the notebook took, if that is known."""
    return read_record(drawn).get("wall_seconds") if sidecar(drawn).exists() else None
