import re
from pathlib import Path

import pytest

from unweave.datasets.document import Document
from unweave.datasets.readers.table import read
from unweave.errors import UnweaveError


def written(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "id,body,kind\n7,one text,x\n8,,y\n")
    assert list(read(path, text="body", label="kind")) == [Document("one text", "x", "1"), Document("", "y", "2")]
    assert [document.label for document in read(path, text="body")] == [None, None]


def test_one_file_for_each_class_and_only_the_wanted_rows(tmp_path: Path) -> None:
    written(tmp_path / "data" / "c.csv", "prompt,target\nint x;,1\nother,0\n")
    written(tmp_path / "data" / "py.jsonl", '{"prompt": "no", "target": 0}\n{"prompt": "x = 1", "target": 1}\n')
    found = read(tmp_path, files={"C": "data/c.csv", "Python": "data/py.jsonl"}, text="prompt", where={"target": 1})
    assert list(found) == [Document("int x;", "C", "c.csv:1"), Document("x = 1", "Python", "py.jsonl:2")]


def test_damaged_rows_are_skipped_and_the_others_cleaned(tmp_path: Path) -> None:
    path = written(tmp_path / "t.tsv", "text\nfine  text\nbroken \ufffd text\n")
    found = list(read(path, skip_matching=re.compile("\ufffd"), clean=["spaces"]))
    assert found == [Document("fine text", None, "1")]


def test_sentences_of_a_row_share_its_group(tmp_path: Path) -> None:
    path = written(tmp_path / "t.tsv", "text\nOne . Two here .\nThree .\n")
    assert list(read(path, unit="sentence", clean=["punctuation"])) == [
        Document("One.", None, "1:1", "1"),
        Document("Two here.", None, "1:2", "1"),
        Document("Three.", None, "2:1", "2"),
    ]


@pytest.mark.parametrize("options", [{"text": "body"}, {"label": "body"}, {"where": {"body": 1}}])
def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path, options: dict[str, object]) -> None:
    path = written(tmp_path / "t.csv", "text,kind\na,b\n")
    with pytest.raises(UnweaveError, match=r"t\.csv: has no column 'body'; its columns are text, kind"):
        list(read(path, **options))  # type: ignore[arg-type]


def test_a_column_without_text_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", '{"text": 3}\n')
    with pytest.raises(UnweaveError, match="column 'text' holds int values, not text"):
        list(read(path))
