"""Rows of a table file: CSV, TSV, JSON lines or Parquet, also compressed by gzip, Zstandard or zip."""

import csv
import gzip
import io
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from unweave import fetch
from unweave.datasets.document import Place, require_file
from unweave.errors import UnweaveError

FORMATS = ".csv, .tsv, .jsonl, .parquet, also in .gz, .zst or .zip"
UNREADABLE = (*fetch.UNREADABLE, csv.Error, pa.ArrowException)
"""What reading a damaged table raises; RuntimeError also of JSON that is nested too deeply."""


def rows(place: Place) -> Iterator[dict[str, Any]]:
    """Rows of the table at `place`, as column name to value; values of CSV and TSV files are strings.

    Raises
    ------
    UnweaveError
        if the file is missing, damaged or of an unknown format.
    """
    require_file(place)
    number = 0
    with ExitStack() as opened:
        try:
            name, file = _decompressed(place.name, opened.enter_context(place.open("rb")), opened)
            for row in _parsed(name, file):
                number += 1
                yield row
        except UNREADABLE as error:
            problem = str(error).partition("\n")[0] or type(error).__name__
            raise UnweaveError(f"{place}: not a readable table after row {number}: {problem}") from None


def _decompressed(name: str, file: IO[bytes], opened: ExitStack) -> tuple[str, IO[bytes]]:
    """Name and content of a file below its compression."""
    stem, suffix = str(PurePosixPath(name).with_suffix("")), PurePosixPath(name).suffix.lower()
    if suffix == ".gz":
        return stem, cast(IO[bytes], opened.enter_context(gzip.open(file)))
    if suffix == ".zst":
        return stem, cast(IO[bytes], opened.enter_context(pa.CompressedInputStream(pa.PythonFile(file), "zstd")))
    if suffix == ".zip":
        archive = opened.enter_context(zipfile.ZipFile(file))
        members = [member for member in archive.namelist() if not member.endswith("/")]
        if len(members) != 1:
            raise ValueError(f"the zip file holds {len(members)} files, not one")
        return members[0], opened.enter_context(archive.open(members[0]))
    return name, file


def _parsed(name: str, file: IO[bytes]) -> Iterator[dict[str, Any]]:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix == ".parquet":
        for batch in pq.ParquetFile(file).iter_batches():
            yield from batch.to_pylist()
        return
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    if suffix in (".csv", ".tsv"):
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        yield from csv.DictReader(text, dialect="excel" if suffix == ".csv" else "excel-tab", strict=True)
    elif suffix == ".jsonl":
        for line in text:
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise ValueError("a line is not a JSON object")
                yield row
    else:
        raise ValueError(f"unknown format {suffix!r}; known: {FORMATS}")
