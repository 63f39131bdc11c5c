"""The score tables of one run in a few files, small enough to be committed."""

from collections.abc import Sequence
from pathlib import Path

from unweave.errors import UnweaveError
from unweave.files import sha256_of, staged_file
from unweave.results import scores as score_tables

SUMS = "SHA256SUMS"
SORTED_BY = ["model", "site", "layer", "method", "fit_seed"]


def freeze(scores: Sequence[Path], sums: Path) -> None:
    """Write <evaluation>.parquet beside `sums`, which lists their SHA-256 in the form of `sha256sum`.

    Raises
    ------
    UnweaveError
        if a table is damaged.
    """
    table = score_tables.read(scores)
    lines = []
    for evaluation, rows in table.groupby("evaluation", sort=True):
        path = sums.parent / f"{evaluation}.parquet"
        score_tables.write(path, rows.sort_values(SORTED_BY, kind="stable").reset_index(drop=True))
        lines.append(f"{sha256_of(path)}  {path.name}\n")
    kept = {line.split()[1] for line in lines}
    for old in set(sums.parent.glob("*.parquet")):
        if old.name not in kept:
            old.unlink()
    with staged_file(sums) as partial:
        partial.write_text("".join(lines), encoding="utf-8")


def require_listed(scores: Sequence[Path]) -> None:
    """Refuse a table that lies beside a list of hashes and is not the one that is listed.

    Raises
    ------
    UnweaveError
        naming the table.
    """
    for path in scores:
        sums = path.with_name(SUMS)
        if sums.exists() and f"{sha256_of(path)}  {path.name}" not in sums.read_text(encoding="utf-8").splitlines():
            raise UnweaveError(
                f"{path}: is not the table that {sums.name} lists: `git checkout {path}`, or freeze again"
            )
