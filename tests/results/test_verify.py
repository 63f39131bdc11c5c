import json
import subprocess
import sys
import time

import pytest

from unweave.errors import UnweaveError
from unweave.provenance import record, sidecar
from unweave.results.verify import compare


@pytest.fixture
def folder(tmp_path):
    """A table, and a folder of three files that is known by its manifest, each with its record."""
    results = tmp_path / "results"
    (results / "scores").mkdir(parents=True)
    (results / "models" / "tiny").mkdir(parents=True)
    (results / "scores" / "x.parquet").write_text("numbers")
    for name in ("manifest.json", "model.safetensors", "tokenizer.json"):
        (results / "models" / "tiny" / name).write_text(name)
    for path in (results / "scores" / "x.parquet", results / "models" / "tiny" / "manifest.json"):
        record("stage", [path], [], {}, time.monotonic())
    return results


def test_an_untouched_folder_is_as_recorded(folder):
    found = compare(folder)
    assert found.unchanged == 4
    assert not any(found.differences.values())


def test_a_changed_file_is_named_and_no_other(folder):
    (folder / "scores" / "x.parquet").write_text("other numbers")
    (folder / "models" / "tiny" / "model.safetensors").write_text("other weights")
    found = compare(folder)
    assert found.changed == [folder / "models/tiny/model.safetensors", folder / "scores/x.parquet"]
    assert (found.unchanged, found.missing, found.unknown) == (2, [], [])


def test_a_missing_file_is_named(folder):
    (folder / "models" / "tiny" / "tokenizer.json").unlink()
    (folder / "scores" / "x.parquet").unlink()
    assert compare(folder).missing == [folder / "models/tiny/tokenizer.json", folder / "scores/x.parquet"]


def test_a_file_without_a_record_is_named(folder):
    (folder / "scores" / "y.parquet").write_text("from nowhere")
    (folder / "models" / "tiny" / "extra.bin").write_text("from nowhere")
    assert compare(folder).unknown == [folder / "models/tiny/extra.bin", folder / "scores/y.parquet"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": {}}', '{"sha256": 1, "files": []}'])
def test_a_damaged_record_counts_as_changed(folder, content):
    path = sidecar(folder / "scores" / "x.parquet")
    path.write_text(content)
    assert compare(folder).changed == [path]


def test_a_record_of_an_older_version_speaks_of_its_result_alone(folder):
    path = sidecar(folder / "models" / "tiny" / "manifest.json")
    content = json.loads(path.read_text())
    del content["files"]
    path.write_text(json.dumps(content))
    found = compare(folder)
    assert found.unchanged == 2
    assert [path.name for path in found.unknown] == ["model.safetensors", "tokenizer.json"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnweaveError, match=r"nowhere: no such folder"):
        compare(tmp_path / "nowhere")


@pytest.mark.parametrize("spoil", [False, True])
def test_the_command_ends_in_status_1_if_anything_differs(folder, spoil):
    if spoil:
        (folder / "scores" / "x.parquet").write_text("other numbers")
    command = [sys.executable, "-m", "unweave", "verify", str(folder)]
    call = subprocess.run(command, capture_output=True, text=True, check=False)
    assert call.returncode == int(spoil)
    named = [f"changed: {folder}/scores/x.parquet"] if spoil else []
    summary = f"{folder}: {4 - spoil} files as recorded, 0 missing, {int(spoil)} changed, 0 unknown"
    assert call.stdout.splitlines() == [*named, summary]


def test_files_without_a_record_are_listed_and_do_no_harm(folder):
    (folder / "report.zip").write_text("made by another program")
    command = [sys.executable, "-m", "unweave", "verify", str(folder)]
    call = subprocess.run(command, capture_output=True, text=True, check=False)
    assert call.returncode == 0
    assert call.stdout.splitlines()[0] == f"unknown: {folder}/report.zip"


def test_a_record_may_speak_of_whole_folders(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("index.html", "data/one.js", "data/deep/two.js"):
        (tmp_path / name).write_text(name)
    record("explorer", [tmp_path / "index.html"], [], {}, 0.0, [tmp_path / "data"])
    assert compare(tmp_path).unchanged == 3
    assert not compare(tmp_path).unknown
    (tmp_path / "data/deep/two.js").write_text("other")
    assert compare(tmp_path).changed == [tmp_path / "data/deep/two.js"]
