import zipfile
from pathlib import Path

import pytest

from unweave.datasets.document import Document, Place
from unweave.datasets.readers.text_tree import read
from unweave.errors import UnweaveError

FILES = {
    "news/tech/002.txt": b"second",
    "news/tech/001.txt": b"first",
    "news/arts/deep/001.txt": b"a deep one",
    "news/loose.txt": b"loose",
    "news/arts/README.md": b"skipped",
    "news/pounds/1.txt": b"costs \xa315 &amp; more",
    "other/1.txt": b"outside",
}


def places(tmp_path: Path) -> list[Place]:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with zipfile.ZipFile(tmp_path / "w.whl", "w") as wheel:
        for name, content in FILES.items():
            wheel.writestr(name, content)
    return [tmp_path / "news", zipfile.Path(tmp_path / "w.whl") / "news"]


def test_files_are_labelled_by_their_folder_and_ordered_by_path(tmp_path: Path) -> None:
    for place in places(tmp_path):
        assert list(read(place)) == [
            Document("a deep one", "deep", "arts/deep/001.txt"),
            Document("loose", None, "loose.txt"),
            Document("costs £15 &amp; more", "pounds", "pounds/1.txt"),
            Document("first", "tech", "tech/001.txt"),
            Document("second", "tech", "tech/002.txt"),
        ]


def test_suffix_and_cleaning_are_options(tmp_path: Path) -> None:
    place, _ = places(tmp_path)
    assert [document.text for document in read(place, suffix=".md")] == ["skipped"]
    assert "costs £15 & more" in [document.text for document in read(place, clean=["markup"])]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match="gone: no such folder"):
        list(read(tmp_path / "gone"))
