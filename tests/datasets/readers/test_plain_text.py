from pathlib import Path

import pytest

from unweave.datasets.document import Document
from unweave.datasets.readers.plain_text import read
from unweave.errors import UnweaveError

TEXT = "\n  One line. \nSecond line.\n \n\nThird.\n"


def written(tmp_path: Path, content: bytes = TEXT.encode()) -> Path:
    path = tmp_path / "words.txt"
    path.write_bytes(content)
    return path


def test_each_non_empty_line_is_a_document_named_by_its_number(tmp_path: Path) -> None:
    assert list(read(written(tmp_path))) == [
        Document("One line.", None, "2"),
        Document("Second line.", None, "3"),
        Document("Third.", None, "6"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_paragraphs_stand_between_blank_lines(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, TEXT.replace("\n", end).encode())
    assert list(read(path, unit="paragraph")) == [
        Document("One line. \nSecond line.", None, "2"),
        Document("Third.", None, "6"),
    ]


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match="not a UTF-8 text file"):
        list(read(written(tmp_path, b"\xff\xfea\x00")))


def test_the_bank_sentences_put_the_word_after_telling_context() -> None:
    path = Path(__file__).parents[3] / "resources" / "text" / "bank.txt"
    sentences = [document.text for document in read(path)]
    assert len(sentences) == 4
    for sentence in sentences:
        words = sentence.rstrip(".").split()
        assert 12 <= len(words) <= 20
        assert words.count("bank") == 1
        assert words.index("bank") >= 5
