"""`unweave verify`: whether files are what they were when they were made."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from unweave.errors import one_line


def verify(
    folder: Annotated[Path, typer.Argument(help="folder of results or figures")] = Path("results"),
) -> None:
    """Compare every file of a folder with the hash that was recorded when it was made; exit status 1 if one differs.

    It is 1 as well if a result has no record, or was made from another version of a file than is there. Delete what is
    named and run again. Other files of which nothing was recorded, such as the page of `snakemake --report`, are listed
    and do no harm, and so are records that an earlier version wrote without a hash of their own (unsealed).
    """
    from unweave.results.verify import compare

    found = compare(folder)
    kinds = found.differences | found.remarks
    for kind, names in kinds.items():
        for name in names:
            sys.stdout.write(f"{one_line(f'{kind}: {name}')}\n")
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items())
    sys.stdout.write(f"{one_line(f'{folder}: {found.unchanged} files as recorded, {counts}')}\n")
    if any(found.differences.values()):
        raise typer.Exit(1)
