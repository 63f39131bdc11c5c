import json
import time

from unweave.files import sha256_of
from unweave.provenance import record, recorded_sha256, sidecar


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
