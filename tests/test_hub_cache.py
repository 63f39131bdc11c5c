import hashlib
import subprocess
from pathlib import Path

import pytest

from unweave.errors import UnweaveError
from unweave.hub_cache import require_as_published


def cached(tmp_path: Path, name: str, content: bytes, etag: str) -> Path:
    """A file as the hub's client keeps it: a link in a snapshot to a blob that is named by its hash."""
    blob = tmp_path / "models--someone--tiny" / "blobs" / etag
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(content)
    link = tmp_path / "models--someone--tiny" / "snapshots" / ("0" * 40) / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path("../../blobs") / etag)
    return link


def git_hash(content: bytes) -> str:
    return subprocess.check_output(["git", "hash-object", "--stdin"], input=content).decode().strip()


@pytest.mark.parametrize("etag_of", [git_hash, lambda content: hashlib.sha256(content).hexdigest()])
@pytest.mark.parametrize("content", [b"", b"weights " * 1000])
def test_one_bit_in_the_cache_is_noticed_and_the_file_named(tmp_path, etag_of, content):
    sound = cached(tmp_path, "config.json", b"{}", git_hash(b"{}"))
    link = cached(tmp_path, "model.safetensors", content, etag_of(content))
    require_as_published([sound, link])
    blob = link.resolve()
    blob.write_bytes(bytes([content[0] ^ 1]) + content[1:] if content else b"x")
    with pytest.raises(UnweaveError, match=rf"blobs/{blob.name}: is not what the hub published .*: delete it") as error:
        require_as_published([sound, link])
    assert "\n" not in str(error.value)


def test_what_has_no_hash_in_its_name_is_not_compared(tmp_path):
    plain = tmp_path / "config.json"
    plain.write_bytes(b"{}")
    require_as_published([plain, cached(tmp_path, "other.json", b"{}", "weak-etag-of-a-mirror")])
