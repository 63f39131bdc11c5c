import hashlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from unweave.config import PypiSource
from unweave.errors import UnweaveError
from unweave.fetch import extract_member, fetch_wheel, read_member
from unweave.files import sha256_of

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def build_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one data file and code that must never run."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/data.txt", "real text")
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('a wheel must never be imported')")
        info = f"{name}-{version}.dist-info"
        archive.writestr(f"{info}/METADATA", METADATA.format(name=name, version=version))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Address of a package index that holds one release of `texts`, and the wheel."""
    root = tmp_path_factory.mktemp("index")
    (root / "texts").mkdir()
    wheel = build_wheel(root / "texts", "texts", "1.0")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", wheel
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(index, monkeypatch) -> Path:
    """Let pip see only the local index; gives the wheel on it."""
    address, wheel = index
    use_index(monkeypatch, address)
    return wheel


def use_index(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX", "PIP_REQUIRE_HASHES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", address)
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def source(sha256: str, **changes: str) -> PypiSource:
    return PypiSource.model_validate(
        {"type": "pypi", "project": "texts", "version": "1.0", "sha256": sha256, "file": "texts/data.txt"} | changes
    )


def test_a_wheel_is_downloaded_under_the_wanted_name(online, tmp_path):
    target = tmp_path / "downloads" / "texts.whl"
    fetch_wheel(source(sha256_of(online)), target)
    assert sha256_of(target) == sha256_of(online)
    assert list(target.parent.iterdir()) == [target]


def test_a_wheel_with_another_hash_is_refused(online, tmp_path):
    target = tmp_path / "downloads" / "texts.whl"
    with pytest.raises(UnweaveError, match=r"texts==1\.0: the downloaded wheel's SHA-256 is not 000000000000") as error:
        fetch_wheel(source("0" * 64), target)
    assert "\n" not in str(error.value)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("changes", [{"version": "9.9"}, {"project": "unheard-of"}])
def test_a_missing_release_is_told_with_the_mend(online, tmp_path, changes):
    target = tmp_path / "downloads" / "texts.whl"
    with pytest.raises(UnweaveError, match="the package index has no such wheel: correct project and version") as error:
        fetch_wheel(source(sha256_of(online), **changes), target)
    assert "\n" not in str(error.value)
    assert not list(target.parent.iterdir())


def test_no_network_is_told_with_the_mend(index, tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        use_index(monkeypatch, f"http://127.0.0.1:{closed.getsockname()[1]}")
    target = tmp_path / "downloads" / "texts.whl"
    with pytest.raises(UnweaveError, match="the package index cannot be reached: check the network") as error:
        fetch_wheel(source("0" * 64), target)
    assert "\n" not in str(error.value)
    assert not list(target.parent.iterdir())


def test_an_older_download_stays_when_a_new_one_fails(online, tmp_path):
    target = tmp_path / "texts.whl"
    target.write_text("old")
    with pytest.raises(UnweaveError):
        fetch_wheel(source("0" * 64), target)
    assert target.read_text() == "old"


FETCH = """
import json, sys
from pathlib import Path
from unweave.config import PypiSource
from unweave.fetch import fetch_wheel
fetch_wheel(PypiSource.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
"""


def test_what_a_killed_download_left_is_removed_by_the_next(index, online, tmp_path, monkeypatch):
    target = tmp_path / "texts.whl"
    (tmp_path / ".other.whl.download-1").mkdir()
    wanted = source(sha256_of(online))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        command = [sys.executable, "-c", FETCH, wanted.model_dump_json(), str(target)]
        fetching = subprocess.Popen(command, start_new_session=True)
        silent.settimeout(60)
        silent.accept()
        os.killpg(fetching.pid, signal.SIGKILL)
        fetching.wait()
    assert len(list(tmp_path.glob(".texts.whl.download-*"))) == 1
    monkeypatch.setenv("PIP_INDEX_URL", index[0])
    fetch_wheel(wanted, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.whl.download-1", "texts.whl"]


def test_a_full_disk_is_told_before_the_download(online, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(UnweaveError, match=r"downloading texts==1\.0 needs .* are free"):
        fetch_wheel(source(sha256_of(online)), tmp_path / "texts.whl")
    assert not list(tmp_path.iterdir())


def test_a_member_is_read_without_installing_the_wheel(tmp_path):
    assert read_member(build_wheel(tmp_path, "texts", "1.0"), "texts/data.txt") == b"real text"


def test_a_missing_member_is_named(tmp_path):
    wheel = build_wheel(tmp_path, "texts", "1.0")
    with pytest.raises(UnweaveError, match=r"has no member 'texts/other\.txt': correct `file`"):
        read_member(wheel, "texts/other.txt")


@pytest.mark.parametrize("content", [None, b"", b"not an archive"])
def test_an_unreadable_archive_is_named(tmp_path, content):
    path = tmp_path / "texts.whl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnweaveError, match=r"texts\.whl: not a readable archive .*: delete it and run again"):
        read_member(path, "texts/data.txt")


def test_a_damaged_member_is_named(tmp_path):
    wheel = build_wheel(tmp_path, "texts", "1.0")
    wheel.write_bytes(wheel.read_bytes().replace(b"real text", b"fake text", 1))
    with pytest.raises(UnweaveError, match=r"not a readable archive \(Bad CRC-32"):
        read_member(wheel, "texts/data.txt")


def test_an_extracted_member_is_checked_and_complete(tmp_path):
    wheel, target = build_wheel(tmp_path, "texts", "1.0"), tmp_path / "out" / "data.txt"
    extract_member(wheel, "texts/data.txt", target, hashlib.sha256(b"real text").hexdigest())
    assert target.read_bytes() == b"real text"
    extract_member(wheel, "texts/data.txt", target, None)
    assert list(target.parent.iterdir()) == [target]


def test_a_member_with_another_hash_leaves_nothing_behind(tmp_path):
    wheel, target = build_wheel(tmp_path, "texts", "1.0"), tmp_path / "out" / "data.txt"
    with pytest.raises(UnweaveError, match=r"SHA-256 of texts/data\.txt is not 000000000000.*correct `file_sha256`"):
        extract_member(wheel, "texts/data.txt", target, "0" * 64)
    assert not list(target.parent.iterdir())
