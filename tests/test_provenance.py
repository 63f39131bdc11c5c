import hashlib
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.provenance import (
    read_record,
    record,
    recorded_files,
    recorded_inputs,
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
    assert content["config_sha256"] == hashlib.sha256(b'{"key": 1}').hexdigest()
    assert {"torch", "tokenizers", "pyarrow", "matplotlib"} <= content["packages"].keys()


@pytest.mark.parametrize(("gpu", "device"), [(True, "NVIDIA H100"), (False, "cpu")])
def test_a_sidecar_tells_the_device_and_the_threads_that_torch_used(tmp_path, monkeypatch, gpu, device):
    cuda = SimpleNamespace(
        is_initialized=lambda: gpu, get_device_name=lambda: "NVIDIA H100", max_memory_allocated=lambda: 5
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(get_num_threads=lambda: 3, cuda=cuda))
    (tmp_path / "x").write_text("x")
    record("stage", [tmp_path / "x"], [], {}, time.monotonic())
    content = read_record(tmp_path / "x")
    assert (content["device"], content["threads"]) == (device, "3")
    assert content.get("peak_gpu_memory_bytes") == (5 if gpu else None)


@pytest.mark.parametrize("given", ["2", None])
def test_without_torch_the_threads_are_those_given_or_all(tmp_path, monkeypatch, given):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    (tmp_path / "x").write_text("x")
    record("stage", [tmp_path / "x"], [], {}, time.monotonic())
    assert (read_record(tmp_path / "x")["device"], read_record(tmp_path / "x")["threads"]) == ("cpu", given or "7")


@pytest.mark.parametrize(
    ("key", "value"), [("stage", "other"), ("git_commit", "0" * 40), ("sha256", "0" * 64), ("seal", None)]
)
@pytest.mark.parametrize("name", ["x.h5", "x.parquet"])
def test_a_record_that_was_changed_is_refused_by_whoever_reads_it(tmp_path, key, value, name):
    result = tmp_path / name
    result.write_text("numbers")
    record("stage", [result], [], {"π": [1, 0.1, None]}, time.monotonic())
    require_unchanged([result])
    content = json.loads(sidecar(result).read_text(encoding="utf-8"))
    sidecar(result).write_text(json.dumps({**content, key: value}), encoding="utf-8")
    refusal = rf"{name}.provenance.json: a damaged record: delete .*{name} and run again"
    for read in (read_record, recorded_files, recorded_inputs, recorded_sha256, require_all_unchanged):
        with pytest.raises(UnweaveError, match=refusal):
            read(result)
    with pytest.raises(UnweaveError, match=refusal):
        require_unchanged([result])


def test_a_record_of_an_earlier_version_has_no_seal_and_is_read_as_it_stands(tmp_path):
    result = tmp_path / "x.parquet"
    result.write_text("numbers")
    record("stage", [result], [], {}, time.monotonic())
    content = json.loads(sidecar(result).read_text(encoding="utf-8"))
    del content["seal"]
    sidecar(result).write_text(json.dumps(content), encoding="utf-8")
    require_unchanged([result])
    assert recorded_sha256(result) == sha256_of(result)
    result.write_text("other numbers")
    with pytest.raises(UnweaveError, match="has changed since it was made"):
        require_unchanged([result])


def test_inputs_are_named_from_where_the_job_ran_unless_the_result_was_moved(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    for name in ("in.txt", "out.txt"):
        (tmp_path / "results" / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    source, result = (tmp_path / "results" / name for name in ("in.txt", "out.txt"))
    record("stage", [result.relative_to(tmp_path)], [source.relative_to(tmp_path)], {}, time.monotonic())
    monkeypatch.chdir("/")
    assert recorded_inputs(result) == {source: sha256_of(source)}
    (tmp_path / "results").rename(tmp_path / "elsewhere")
    assert recorded_inputs(tmp_path / "elsewhere" / "out.txt") == {}


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
