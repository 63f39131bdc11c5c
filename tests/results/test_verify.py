import json
import os
import subprocess
import sys
import time
from pathlib import Path

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
    assert (found.unchanged, found.missing, found.unrecorded, found.unknown) == (2, [], [], [])


def test_a_missing_file_is_named(folder):
    (folder / "models" / "tiny" / "tokenizer.json").unlink()
    (folder / "scores" / "x.parquet").unlink()
    assert compare(folder).missing == [folder / "models/tiny/tokenizer.json", folder / "scores/x.parquet"]


def test_a_result_without_a_record_is_named_and_so_are_other_files(folder):
    (folder / "scores" / "y.parquet").write_text("from nowhere")
    (folder / "models" / "tiny" / "extra.bin").write_text("from nowhere")
    found = compare(folder)
    assert found.unrecorded == [folder / "scores/y.parquet"]
    assert found.unknown == [folder / "models/tiny/extra.bin"]


def test_a_damaged_result_that_lost_its_record_is_named(folder):
    (folder / "scores" / "x.parquet").write_text("other numbers")
    sidecar(folder / "scores" / "x.parquet").unlink()
    assert compare(folder).differences["unrecorded"] == [folder / "scores/x.parquet"]


@pytest.mark.parametrize("name", [".resid.h5.parts/part-000000.safetensors", ".seed0.parquet", "notes/.cache/x.json"])
def test_the_state_of_an_interrupted_job_is_no_result_without_a_record(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("half")
    found = compare(folder)
    assert not any(found.differences.values())
    assert found.unknown == [folder / name]


@pytest.fixture
def chain(tmp_path):
    """A result that was made from another, as the workflow names them: from the folder that holds `results`."""
    results = tmp_path / "results"
    results.mkdir()
    source, made = results / "manifest.json", results / "x.parquet"
    source.write_text("one")
    made.write_text("made from one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        record("fit", [Path("results/manifest.json")], [], {}, time.monotonic())
        record("evaluate", [Path("results/x.parquet")], [Path("results/manifest.json")], {}, time.monotonic())
    return source, made


def test_a_result_that_was_made_from_another_version_of_its_input_is_named(chain):
    source, made = chain
    assert not any(compare(source.parent).differences.values())
    source.write_text("two")
    record("fit", [source], [], {}, time.monotonic())
    assert compare(source.parent).stale == [f"{made}: made from another version of {source}"]


def test_a_damaged_input_is_named_once_and_not_at_all_that_was_made_from_it(chain):
    source, _ = chain
    source.write_text("damaged")
    found = compare(source.parent)
    assert (found.changed, found.stale) == ([source], [])


def test_an_input_that_is_there_no_more_makes_nothing_stale(chain):
    source, _ = chain
    source.unlink()
    sidecar(source).unlink()
    assert not any(compare(source.parent).differences.values())


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", '{"files": {}}', '{"sha256": 1, "files": []}', '{"sha256": "1", "inputs": {}}'),
        '{"output": "x.parquet", "sha256": "1", "inputs": [1]}',
        '{"output": 1, "sha256": "1", "inputs": {}}',
        '{"output": "x.parquet", "sha256": "1", "inputs": {}, "seal": "2"}',
    ],
)
def test_a_damaged_record_counts_as_changed(folder, content):
    path = sidecar(folder / "scores" / "x.parquet")
    path.write_text(content)
    assert compare(folder).changed == [path]


def test_a_record_that_was_changed_itself_is_named(folder):
    path = sidecar(folder / "scores" / "x.parquet")
    path.write_text(path.read_text().replace('"stage": "stage"', '"stage": "other"'))
    assert compare(folder).changed == [path]


def test_a_record_without_a_seal_is_a_remark(folder):
    path = sidecar(folder / "scores" / "x.parquet")
    content = json.loads(path.read_text())
    del content["seal"]
    path.write_text(json.dumps(content))
    found = compare(folder)
    assert not any(found.differences.values())
    assert found.unsealed == [path]


def test_a_record_of_an_older_version_speaks_of_its_result_alone(folder):
    path = sidecar(folder / "models" / "tiny" / "manifest.json")
    content = json.loads(path.read_text())
    del content["files"], content["seal"]
    path.write_text(json.dumps(content))
    found = compare(folder)
    assert found.unchanged == 2
    assert [path.name for path in found.unrecorded] == ["model.safetensors", "tokenizer.json"]


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
    summary = f"{folder}: {4 - spoil} files as recorded, 0 missing, {int(spoil)} changed"
    summary += ", 0 unrecorded, 0 stale, 0 unknown, 0 unsealed"
    assert call.stdout.splitlines() == [*named, summary]


def test_other_files_without_a_record_are_listed_and_do_no_harm(folder):
    (folder / "report.zip").write_text("made by another program")
    command = [sys.executable, "-m", "unweave", "verify", str(folder)]
    call = subprocess.run(command, capture_output=True, text=True, check=False)
    assert call.returncode == 0
    assert call.stdout.splitlines()[0] == f"unknown: {folder}/report.zip"


def test_a_lost_record_ends_the_command_in_status_1(folder):
    sidecar(folder / "scores" / "x.parquet").unlink()
    command = [sys.executable, "-m", "unweave", "verify", str(folder)]
    call = subprocess.run(command, capture_output=True, text=True, check=False)
    assert call.returncode == 1
    assert call.stdout.splitlines()[0] == f"unrecorded: {folder}/scores/x.parquet"


def test_no_name_of_a_file_reaches_the_terminal_raw(folder):
    (folder / os.fsdecode(b"\xff\x1b[31m\n")).touch()
    command = [sys.executable, "-m", "unweave", "verify", str(folder)]
    call = subprocess.run(command, capture_output=True, check=False)
    assert call.returncode == 0
    assert call.stdout.splitlines()[0].endswith(rb"/\udcff\x1b[31m\n")
    assert len(call.stdout.splitlines()) == 2


def test_a_record_may_speak_of_whole_folders(tmp_path):
    (tmp_path / "data" / "deep").mkdir(parents=True)
    for name in ("index.html", "data/one.js", "data/deep/two.js"):
        (tmp_path / name).write_text(name)
    record("explorer", [tmp_path / "index.html"], [], {}, 0.0, [tmp_path / "data"])
    assert compare(tmp_path).unchanged == 3
    assert not compare(tmp_path).unknown
    (tmp_path / "data/deep/two.js").write_text("other")
    assert compare(tmp_path).changed == [tmp_path / "data/deep/two.js"]
