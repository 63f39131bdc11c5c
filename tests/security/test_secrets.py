"""Tokens and keys are used and never written down."""

import http.server
import os
import subprocess
import sys
import threading

import pytest

from unweave.config import PROJECT, PypiSource
from unweave.errors import UnweaveError
from unweave.evaluations.judge import Judge, JudgeSettings
from unweave.fetch import fetch_wheel

CANARY = "canary-7d1f0c5e9b"
SECRETS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "OPENAI_API_KEY", "UNWEAVE_JUDGE_KEY", "GITHUB_TOKEN")
RUN_EVERYTHING = """
import os, sys
from pathlib import Path
os.environ["OMP_NUM_THREADS"] = "1"
from tests.faults import jobs
from tests.faults.__main__ import _in_a_process
from tests.faults.project import online, served, write_project
root = Path(sys.argv[1])
_in_a_process(lambda: write_project(root))
(root / "run").mkdir()
planned = jobs.planned(root / "run")
jobs.import_what_jobs_import()
with served(root / "index") as port:
    for number, job in enumerate(planned):
        ended = jobs.start(job, root / "run", online(port)).wait()
        assert ended.status == 0, ended.output
        (root / f"{number}.log").write_text(ended.output)
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of a whole small run, logs included, whose environment was full of secrets."""
    folder = tmp_path_factory.mktemp("secrets")
    environment = {**os.environ, **dict.fromkeys(SECRETS, CANARY), "HF_HUB_OFFLINE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    command = [sys.executable, "-c", RUN_EVERYTHING, str(folder)]
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (folder / "console.log").write_text(run.stdout + run.stderr)
    return folder


def holding(folder, secret):
    """Files that hold the secret."""
    return [path for path in folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


def test_no_file_of_a_run_holds_a_token_or_key(written):
    kinds = {path.suffix for path in written.rglob("*") if path.is_file()}
    assert {".json", ".h5", ".parquet", ".ipynb", ".html", ".log", ".safetensors"} <= kinds
    assert holding(written, CANARY) == []


def test_the_search_would_find_one(written):
    (written / "planted.json").write_text(f'{{"token": "{CANARY}"}}')
    assert holding(written, CANARY) == [written / "planted.json"]
    (written / "planted.json").unlink()


class Refusing(http.server.BaseHTTPRequestHandler):
    """A judge that takes the key and answers with an error, or with what it was asked."""

    seen: list[str] = []  # noqa: RUF012
    status = 401

    def do_POST(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers["Content-Length"]))
        content = b'{"choices": [{"message": {"content": "Rating: 1"}}]}'
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("status", [200, 401])
def test_the_key_of_a_judge_is_sent_and_neither_kept_nor_told(status, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Refusing.status = status
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    settings = JudgeSettings(
        endpoint=f"http://127.0.0.1:{server.server_port}/v1", model="m", cache=str(tmp_path), pause=0.0
    )
    told = ""
    try:
        told = Judge(settings).ask("How is this?")
    except UnweaveError as error:
        told = str(error)
    finally:
        server.shutdown()
        server.server_close()
    assert Refusing.seen[-1] == f"Bearer {CANARY}"
    assert CANARY not in told + caplog.text
    assert holding(tmp_path, CANARY) == []
    assert bool(list(tmp_path.rglob("*.json"))) == (status == 200)


def test_the_password_of_an_index_is_not_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://user:{CANARY}@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    source = PypiSource(type="pypi", project="texts", version="1.0", sha256="0" * 64)
    with pytest.raises(UnweaveError) as refusal:
        fetch_wheel(source, tmp_path / "x.whl")
    assert CANARY not in str(refusal.value)
