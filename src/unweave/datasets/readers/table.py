"""Rows of tables: CSV, TSV, JSON lines or Parquet, also compressed."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from unweave.datasets.cleaning import Step, cleaned, split_sentences
from unweave.datasets.document import Document, Place
from unweave.datasets.tables import rows
from unweave.errors import UnweaveError


def read(
    place: Place,
    *,
    files: dict[str, str] | None = None,
    text: str = "text",
    label: str | None = None,
    where: dict[str, str | int] | None = None,
    skip_matching: re.Pattern[str] | None = None,
    clean: Sequence[Step] = (),
    unit: Literal["row", "sentence"] = "row",
) -> Iterator[Document]:
    """Documents of one table, or of one table for each class.

    Parameters
    ----------
    files
        class name to path of that class's table below `place`, read in order of the names; without it `place` is the
        only table.
    text, label
        columns; without `label`, rows are unlabelled unless `files` names their class.
    where
        only rows with these values, column by column, are read.
    skip_matching
        rows whose text this expression finds something in are left out, for damage that cannot be repaired.
    clean
        steps of `unweave.datasets.cleaning`, in order.
    unit
        `sentence` makes a document of each sentence; sentences of one row stay in the same split.

    Raises
    ------
    UnweaveError
        if a table is missing or damaged, or has no such column.
    """
    tables = [(None, place)] if files is None else [(name, place / path) for name, path in sorted(files.items())]
    for name, table in tables:
        for number, row in enumerate(rows(table), start=1):
            content = _text(row, text, table)
            if any(str(_value(row, column, table)) != str(value) for column, value in (where or {}).items()):
                continue
            if skip_matching and skip_matching.search(content):
                continue
            source_id = str(number) if files is None else f"{table.name}:{number}"
            kind = name if label is None else _value(row, label, table)
            if unit == "row":
                yield Document(cleaned(content, clean), kind, source_id)
            else:
                for index, sentence in enumerate(split_sentences(cleaned(content, clean)), start=1):
                    yield Document(sentence, kind, f"{source_id}:{index}", group=source_id)


def _value(row: dict[str, Any], column: str, table: Place) -> Any:
    try:
        return row[column]
    except KeyError:
        columns = ", ".join(map(str, row))
        raise UnweaveError(f"{table}: has no column {column!r}; its columns are {columns}") from None


def _text(row: dict[str, Any], column: str, table: Place) -> str:
    value = _value(row, column, table)
    if value is not None and not isinstance(value, str):
        raise UnweaveError(f"{table}: column {column!r} holds {type(value).__name__} values, not text")
    return value or ""
