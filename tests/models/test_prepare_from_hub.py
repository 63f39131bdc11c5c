"""The real client of the hub against a local server that answers as the hub does."""

import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from unweave.config import ModelEntry
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.models.gguf import convert_gguf
from unweave.models.prepare import prepare_model

REPO = "someone/tiny"
REVISION = "0123456789abcdef0123456789abcdef01234567"


class Hub(http.server.ThreadingHTTPServer):
    """One repository with one revision; all files are refused with `error_code` if set, or break off if `broken`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.folder = folder
        self.error_code = ""
        self.broken = False
        self.asked: list[str] = []


class HubHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(path)
        if not path.removeprefix("/api/models").startswith(f"/{REPO}/"):
            self.answer(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif REVISION not in path:
            self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
        elif path == f"/api/models/{REPO}/tree/{REVISION}":
            files = [file for file in self.server.folder.iterdir() if file.is_file()]
            tree = [
                {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": oid(file)} for file in files
            ]
            self.answer(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
        elif self.server.error_code:
            self.answer(403, b"", {"X-Error-Code": self.server.error_code})
        elif self.server.broken and self.command == "GET":
            self.answer(410, b"", {})
        else:
            file = self.server.folder / path.rpartition("/")[2]
            self.answer(200, file.read_bytes(), {"ETag": f'"{oid(file)}"', "X-Repo-Commit": REVISION})

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def oid(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def repository(tiny_writer, tmp_path_factory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("repository")
    convert_gguf(tiny_writer(tied=True).write(source / "model.gguf"), folder)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "flax_model.msgpack").write_bytes(b"the weights again")
    return folder


@pytest.fixture
def hub(repository, tmp_path, monkeypatch) -> Iterator[Hub]:
    shutil.copytree(repository, tmp_path / "repository")
    server = Hub(tmp_path / "repository")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    constants = huggingface_hub.constants
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def entry(**changes: object) -> ModelEntry:
    return ModelEntry.model_validate(
        {
            "title": "Tiny",
            "source": {"type": "hub", "repo": REPO, "revision": REVISION, **changes},
            "format": "transformers",
            "licence": "MIT",
            "architecture": {"family": "llama", "blocks": 2, "d_model": 64, "d_mlp": 96, "vocabulary": 267},
        }
    )


def test_a_hub_model_is_fetched_without_pickles_and_loads(hub, repository, tmp_path):
    folder = tmp_path / "models" / "tiny"
    prepare_model(
        "tiny", entry(sha256={"model.safetensors": sha256_of(repository / "model.safetensors")}), None, folder
    )
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 2
    assert AutoTokenizer.from_pretrained(folder)("hello").input_ids
    assert json.loads((folder / "manifest.json").read_text())["revision"] == REVISION
    assert not any(path.endswith((".bin", ".msgpack")) for path in hub.asked)


def test_a_cached_model_needs_no_network(hub, tmp_path, monkeypatch):
    prepare_model("tiny", entry(), None, tmp_path / "online")
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr("time.sleep", lambda _: None)
    prepare_model("tiny", entry(), None, tmp_path / "offline")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    prepare_model("tiny", entry(), None, tmp_path / "forbidden")
    manifests = {(tmp_path / name / "manifest.json").read_text() for name in ("online", "offline", "forbidden")}
    assert len(manifests) == 1


@pytest.mark.parametrize("offline", [True, False])
def test_a_file_that_was_damaged_in_the_cache_is_named_and_fetched_again_once_deleted(
    hub, tmp_path, monkeypatch, offline
):
    prepare_model("tiny", entry(), None, tmp_path / "before")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    (weights,) = (tmp_path / "cache").rglob("model.safetensors")
    blob, content = weights.resolve(), weights.read_bytes()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UnweaveError, match=rf"{blob}: is not what the hub published"):
        prepare_model("tiny", entry(), None, tmp_path / "after")
    assert not (tmp_path / "after").exists()
    blob.unlink()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    prepare_model("tiny", entry(), None, tmp_path / "after")
    assert sha256_of(tmp_path / "after/model.safetensors") == sha256_of(tmp_path / "before/model.safetensors")


@pytest.mark.parametrize("offline", [True, False])
def test_no_network_and_nothing_cached_is_one_clear_line(hub, tmp_path, monkeypatch, offline):
    hub.shutdown()
    hub.server_close()
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client tries again after 1, 2, 4 and 8 seconds
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(UnweaveError, match="someone/tiny@0123456789ab: neither the hub nor its cache") as error:
        prepare_model("tiny", entry(), None, tmp_path / "models" / "tiny")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "models").iterdir())


def test_a_gated_model_tells_how_to_get_access(hub, tmp_path):
    hub.error_code = "GatedRepo"
    with pytest.raises(
        UnweaveError, match=r"is gated: accept its licence at https://huggingface.co/someone/tiny.*HF_TOKEN"
    ):
        prepare_model("tiny", entry(), None, tmp_path / "models" / "tiny")
    assert not list((tmp_path / "models").iterdir())


def test_an_unknown_revision_is_named(hub, tmp_path):
    with pytest.raises(UnweaveError, match=r"someone/tiny@ffffffffffff: the repository has no such revision"):
        prepare_model("tiny", entry(revision="f" * 40), None, tmp_path / "tiny")


def test_an_unknown_repository_is_named(hub, tmp_path):
    with pytest.raises(UnweaveError, match="someone/huge@0123456789ab: no such public repository"):
        prepare_model("tiny", entry(repo="someone/huge"), None, tmp_path / "tiny")


def test_a_failing_download_asks_to_run_again(hub, tmp_path):
    hub.broken = True
    with pytest.raises(UnweaveError, match=r"the download failed .*run again to resume it") as error:
        prepare_model("tiny", entry(), None, tmp_path / "tiny")
    assert "\n" not in str(error.value)


def test_a_repository_with_pickled_weights_only_is_refused(hub, tmp_path):
    (hub.folder / "model.safetensors").unlink()
    with pytest.raises(UnweaveError, match=r"pickled weights \(\.bin\) could run code"):
        prepare_model("tiny", entry(), None, tmp_path / "tiny")


@pytest.mark.parametrize("file", ["model.safetensors", "missing.json"])
def test_another_file_than_the_pinned_one_is_refused(hub, tmp_path, file):
    with pytest.raises(UnweaveError, match=f"someone/tiny: {file}: "):
        prepare_model("tiny", entry(sha256={file: "0" * 64}), None, tmp_path / "models" / "tiny")
    assert not list((tmp_path / "models").iterdir())
