"""`unweave verify`: whether files are what they were when they were made."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def verify(
    folder: Annotated[Path, typer.Argument(help="folder of results or figures")] = Path("results"),
) -> None:
    """Compare every file of a folder with the hash that was recorded when it was made; exit status 1 if one differs.

    Files of which nothing was recorded, such as the page of `snakemake --report`, are listed and do no harm.
    """
    from unweave.results.verify import compare

    found = compare(folder)
    for kind, paths in found.differences.items():
        for path in paths:
            sys.stdout.write(f"{kind}: {path}\n")
    counts = ", ".join(f"{len(paths)} {kind}" for kind, paths in found.differences.items())
    sys.stdout.write(f"{folder}: {found.unchanged} files as recorded, {counts}\n")
    if found.missing or found.changed:
        raise typer.Exit(1)
