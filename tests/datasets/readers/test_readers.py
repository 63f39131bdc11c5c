from pathlib import Path

import pytest

from unweave.config import HubSource
from unweave.datasets import readers
from unweave.errors import UnweaveError

HUB = HubSource(type="hub", repo="a/b", revision="0" * 40)


def test_an_unknown_reader_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnweaveError, match="unknown reader 'tabel'; known: hub, plain_text, staicc, table, text_tree"):
        readers.read("tabel", Path(), {})


@pytest.mark.parametrize(
    ("reader", "options", "message"),
    [
        ("table", {"column": "text"}, r"options\.column: unexpected keyword argument \(reader table\)"),
        ("table", {"text": 3}, r"options\.text: input should be a valid string"),
        ("table", {"unit": "page"}, r"options\.unit: input should be 'row' or 'sentence'"),
        ("table", {"skip_matching": "("}, r"options\.skip_matching: input should be a valid regular expression"),
        ("staicc", {"clean": ["polish"]}, r"options\.clean\.0: input should be 'encoding'"),
    ],
)
def test_wrong_options_are_named(reader: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UnweaveError, match=message):
        readers.read(reader, Path(), options)


def test_a_reader_refuses_a_source_that_it_cannot_read() -> None:
    for reader, source in (("hub", Path()), ("table", HUB)):
        with pytest.raises(UnweaveError, match=f"reader {reader} cannot read this type of source"):
            readers.read(reader, source, {})
