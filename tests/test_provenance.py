import json
import subprocess
import time

import pytest

from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.provenance import (
    record,
    recorded_files,
    recorded_sha256,
    require_all_unchanged,
    require_unchanged,
    sidecar,
)


def test_a_sidecar_tells_hashes_time_and_peak_memory(tmp_path):
    source, result = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_text("in")
    result.write_text("out")
    record("stage", [result], [source], {"key": 1}, time.monotonic() - 2)
    content = json.loads(sidecar(result).read_text(encoding="utf-8"))
    assert content["inputs"] == {str(source): sha256_of(source)}
    assert content["sha256"] == sha256_of(result)
    assert 2 <= content["wall_seconds"] < 60
    assert 1e7 < content["peak_memory_bytes"] < 1e12


def test_a_hash_is_read_from_the_sidecar_where_there_is_one(tmp_path):
    result = tmp_path / "out.txt"
    result.write_text("out")
    assert recorded_sha256(result) == sha256_of(result)
    record("stage", [result], [], {}, time.monotonic())
    assert recorded_sha256(result) == sha256_of(result)


def test_the_record_of_a_manifest_speaks_for_its_whole_folder(tmp_path):
    for name in ("manifest.json", "weights.safetensors"):
        (tmp_path / name).write_text(name)
    record("model", [tmp_path / "manifest.json"], [], {}, time.monotonic())
    record("model", [tmp_path / "manifest.json"], [], {}, time.monotonic())
    assert recorded_files(tmp_path / "manifest.json") == {
        tmp_path / name: sha256_of(tmp_path / name) for name in ("manifest.json", "weights.safetensors")
    }


def test_an_input_that_has_changed_is_refused_and_one_without_a_record_is_not(tmp_path):
    result, foreign = tmp_path / "x.parquet", tmp_path / "foreign.parquet"
    for path in (result, foreign):
        path.write_text("numbers")
    record("evaluate", [result], [], {}, time.monotonic())
    require_unchanged([result, foreign])
    for path in (result, foreign):
        path.write_text("other numbers")
    require_unchanged([foreign])
    with pytest.raises(UnweaveError, match=r"x.parquet: has changed since it was made .* delete .*x.parquet and run"):
        require_unchanged([foreign, result])


def test_tensors_that_have_changed_are_refused_by_whoever_reads_them_alone(tmp_path):
    for name in ("manifest.json", "weights.safetensors"):
        (tmp_path / name).write_text(name)
    record("model", [tmp_path / "manifest.json"], [], {}, time.monotonic())
    (tmp_path / "weights.safetensors").write_text("other weights")
    require_unchanged([tmp_path / "manifest.json"])
    with pytest.raises(UnweaveError, match=r"weights.safetensors: has changed .* delete .*manifest.json and run"):
        require_all_unchanged(tmp_path / "manifest.json")
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(UnweaveError, match=r"weights.safetensors: is missing"):
        require_unchanged([tmp_path / "manifest.json"])


def test_recording_takes_no_lock_of_the_repository_that_a_kill_would_leave(monkeypatch, tmp_path):
    called = []
    run = subprocess.run

    def noticed(command, **options):
        called.append(command)
        return run(command, **options)

    monkeypatch.setattr("unweave.provenance.subprocess.run", noticed)
    (tmp_path / "x").write_text("x")
    record("stage", [tmp_path / "x"], [], {}, time.monotonic())
    status = [command for command in called if "status" in command]
    assert status
    assert all("--no-optional-locks" in command for command in status)
