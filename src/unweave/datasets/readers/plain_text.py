"""A text file with one document on each line or in each paragraph."""

import io
from collections.abc import Iterator
from itertools import groupby
from typing import Literal

from unweave.datasets.document import Document, Place, require_file
from unweave.errors import UnweaveError


def read(place: Place, *, unit: Literal["line", "paragraph"] = "line") -> Iterator[Document]:
    """Non-empty lines, or paragraphs between blank lines, of a UTF-8 file; the source id is the first line's number.

    Raises
    ------
    UnweaveError
        if the file is not UTF-8.
    """
    require_file(place)
    with place.open("rb") as file:
        lines = enumerate(io.TextIOWrapper(file, encoding="utf-8-sig"), start=1)
        try:
            if unit == "line":
                yield from (Document(line.strip(), None, str(number)) for number, line in lines if line.strip())
            else:
                for blank, numbered in groupby(lines, key=lambda pair: not pair[1].strip()):
                    if not blank:
                        paragraph = list(numbered)
                        yield Document("".join(line for _, line in paragraph).strip(), None, str(paragraph[0][0]))
        except UnicodeDecodeError:
            raise UnweaveError(f"{place}: not a UTF-8 text file: convert it") from None
