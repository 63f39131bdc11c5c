"""StaICC's cached benchmarks: pickled lists of (list of input texts, class index)."""

from collections.abc import Iterator, Sequence

from unweave.datasets.cleaning import Step, cleaned
from unweave.datasets.document import Document, Place, require_file
from unweave.datasets.plain_pickle import load_plain_pickle
from unweave.errors import UnweaveError


def read(place: Place, *, clean: Sequence[Step] = ()) -> Iterator[Document]:
    """Items of one `.dataset` file, the texts of an item joined by a space, after the cleaning steps `clean`.

    Raises
    ------
    UnweaveError
        if the pickle is not such a list.
    """
    require_file(place)
    items = load_plain_pickle(place.read_bytes(), str(place))
    if not isinstance(items, list):
        raise UnweaveError(f"{place}: holds a {type(items).__name__}, not a list of items")
    for row, item in enumerate(items, start=1):
        match item:
            case ([*texts], int(label)) if all(isinstance(text, str) for text in texts):
                yield Document(cleaned(" ".join(texts), clean), label, str(row))
            case _:
                raise UnweaveError(f"{place}: item {row} is not a pair of texts and class index")
