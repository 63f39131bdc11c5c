import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unweave.errors import UnweaveError
from unweave.files import require_free_space, sha256_of, staged_file, staged_folder, write_json

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from unweave.files import staged_file, staged_folder
staged, path = {"file": staged_file, "folder": staged_folder}[sys.argv[1]], Path(sys.argv[2])
with staged(path) as partial:
    (partial if sys.argv[1] == "file" else partial / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_writing(kind: str, path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "src")}
    run = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, kind, str(path)], check=False, env=environment)
    assert run.returncode == -signal.SIGKILL


def write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise RuntimeError


def test_a_staged_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    with staged_file(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
        assert partial.parent == path.parent
    assert path.read_text() == "whole"
    assert [file.name for file in path.parent.iterdir()] == ["file"]


def test_a_failed_block_keeps_the_older_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), staged_file(path) as partial:
        write_half_and_fail(partial)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), staged_file(tmp_path / "file"):
        pass
    assert not (tmp_path / "file").exists()


def test_a_staged_folder_replaces_the_older_one_whole(tmp_path):
    path = tmp_path / "folder"
    for name in ("first", "second"):
        with staged_folder(path) as partial:
            (partial / "deep").mkdir()
            (partial / "deep" / name).write_text(name)
    assert [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()] == ["deep/second"]
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_failed_block_keeps_the_older_folder(tmp_path):
    path = tmp_path / "folder"
    with staged_folder(path) as partial:
        (partial / "old").touch()
    with pytest.raises(RuntimeError), staged_folder(path) as partial:
        write_half_and_fail(partial / "new")
    assert [file.name for file in path.iterdir()] == ["old"]
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_leaves_no_result_and_the_next_one_starts_clean(tmp_path, kind):
    path = tmp_path / "result"
    killed_while_writing(kind, path)
    assert not path.exists()
    if kind == "file":
        with staged_file(path) as partial:
            partial.write_text("whole")
        assert path.read_text() == "whole"
    else:
        with staged_folder(path) as partial:
            assert not list(partial.iterdir())
            (partial / "whole").touch()
        assert [file.name for file in path.iterdir()] == ["whole"]
    assert [file.name for file in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_killed_writer_keeps_the_older_result(tmp_path, kind):
    path = tmp_path / "result"
    if kind == "file":
        path.write_text("old")
    else:
        path.mkdir()
    killed_while_writing(kind, path)
    assert path.exists()
    assert kind == "folder" or path.read_text() == "old"


def test_json_is_written_with_sorted_keys_and_plain_characters(tmp_path):
    write_json(tmp_path / "a.json", {"b": "é", "a": [1, None]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.index('"a"') < text.index('"b"')
    assert "é" in text
    assert text.endswith("}\n")
    assert json.loads(text) == {"a": [1, None], "b": "é"}


def test_what_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert not list(tmp_path.iterdir())


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_too_little_space_is_told_with_the_mend(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9))
    require_free_space(tmp_path / "new", 9 * 10**8, "a small thing")
    with pytest.raises(UnweaveError, match=r"a large thing needs 1\.10 GB but only 1\.00 GB are free: free some space"):
        require_free_space(tmp_path / "new", 10**9, "a large thing")
