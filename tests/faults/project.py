"""A whole workflow in miniature: an index with two wheels, a registry, and a configuration with every kind of job."""

import http.server
import json
import os
import random
import runpy
import signal
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from unweave.config import PROJECT, read_yaml
from unweave.files import sha256_of

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
WORDS = {
    "rivers": ["river", "water", "boat", "fish", "bridge", "flood", "shore", "mill"],
    "money": ["money", "loan", "bank", "price", "market", "tax", "coin", "trade"],
    "plain": ["the", "old", "of", "and", "near", "with", "a", "new", "under", "was", "is", "by"],
}
TRAINING = {"tokens": 4000, "batch_size": 100, "warmup_steps": 2}
METHODS: dict[str, dict[str, Any]] = {
    "pca": {"method": "pca"},
    "random": {"method": "random_directions"},
    "raw": {"method": "raw_dimensions"},
    "kmeans": {"method": "kmeans", "settings": {"n_features": 12, "iterations": 10}},
    "ica": {"method": "ica", "settings": {"iterations": 20}},
    "bae": {"method": "bae", "settings": {"tokens": 4000, "batch_size": 100}},
    "snmf": {"method": "snmf", "settings": {"n_features": 12, "iterations": 30}},
    "hierarchy": {
        "method": "snmf_hierarchy",
        "settings": {"levels": [12, 6], "iterations": 20, "fine_tuning": "projected", "fine_tuning_iterations": 20},
    },
    "sae": {"method": "sae", "settings": {**TRAINING, "expansion": 2, "gate": {"kind": "topk", "k": 8}}},
    "sasa": {"method": "sasa", "settings": {**TRAINING, "groups": 16, "group_size": 4, "active_groups": 4}},
    "diffmeans": {"method": "diffmeans", "supervised": True},
    "transcoder": {
        "method": "sae",
        "target": "mlp_out",
        "settings": {**TRAINING, "expansion": 2, "gate": {"kind": "topk", "k": 8}, "target": True},
    },
}
EVALUATIONS: dict[str, dict[str, Any]] = {
    "nongaussianity": {"evaluation": "nongaussianity"},
    "reconstruction": {"evaluation": "reconstruction", "settings": {"k": [0, 1, 10]}},
    "core": {"evaluation": "core", "settings": {"k": 8, "patched_tokens": 0}},
    "sparse-probing": {"evaluation": "sparse_probing", "settings": {"k": [1, 5], "control_draws": 2}},
    "tpp": {"evaluation": "tpp", "settings": {"n": [2, 5], "control_draws": 2}},
    "seed-stability": {"evaluation": "seed_stability"},
    "receptive-field": {
        "evaluation": "receptive_field",
        "settings": {"features": 6, "occurrences": 2, "top": [1, 5], "gradients": 1},
    },
}


def texts(count: int, seed: int) -> list[dict[str, Any]]:
    """Sentences of the two subjects in turn, as rows of a table."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        label = number % 2
        subject = WORDS[("rivers", "money")[label]]
        words = [draw.choice(subject if draw.random() < 0.5 else WORDS["plain"]) for _ in range(9)]
        rows.append({"text": f"{' '.join(words)} {number}.", "label": ("rivers", "money")[label]})
    return rows


def build_wheel(folder: Path, name: str, member: str, content: bytes) -> Path:
    """A wheel with one data file, in the folder of its project in an index."""
    path = folder / name / f"{name}-1.0-py3-none-any.whl"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, text in {
            f"{name}/{member}": content,
            f"{name}-1.0.dist-info/METADATA": METADATA.format(name=name),
            f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{name}-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(zipfile.ZipInfo(place), text, zipfile.ZIP_DEFLATED)
    return path


def _source(wheel: Path, member: str) -> dict[str, Any]:
    name = wheel.name.partition("-")[0]
    return {"type": "pypi", "project": name, "version": "1.0", "sha256": sha256_of(wheel), "file": f"{name}/{member}"}


def write_project(folder: Path) -> None:
    """Write `index/`, `registry/` and `config.yaml` into `folder`."""
    tiny = runpy.run_path(str(PROJECT / "tests" / "models" / "conftest.py"))["TinyGGUF"](tied=True)
    weights = tiny.write(folder / "tiny.gguf")
    model = build_wheel(folder / "index", "tinymodel", "tiny.gguf", weights.read_bytes())
    weights.unlink()
    lines = "".join(json.dumps(row) + "\n" for row in texts(160, seed=1))
    table = build_wheel(folder / "index", "tinytexts", "texts.jsonl", lines.encode())
    (folder / "prose.txt").write_text("\n".join(row["text"] for row in texts(120, seed=2)), encoding="utf-8")
    registry = {
        "models": {
            "tiny": {
                "title": "Tiny",
                "source": _source(model, "tiny.gguf"),
                "format": "gguf",
                "licence": "none",
                "architecture": {"family": "llama", "blocks": 2, "d_model": 64, "d_mlp": 96, "vocabulary": 267},
            }
        },
        "datasets": {
            "labelled": {
                "title": "Labelled",
                "source": _source(table, "texts.jsonl"),
                "reader": "table",
                "options": {"text": "text", "label": "label"},
                "labels": ["rivers", "money"],
                "licence": "none",
            },
            "prose": {
                "title": "Prose",
                "source": {"type": "local", "path": str(folder / "prose.txt")},
                "reader": "plain_text",
                "licence": "none",
            },
        },
        "methods": {name: {"title": name, **entry} for name, entry in METHODS.items()},
        "evaluations": EVALUATIONS,
        "figures": read_yaml(PROJECT / "config" / "figures.yaml"),
    }
    (folder / "registry").mkdir()
    for name, content in registry.items():
        (folder / "registry" / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(_configuration(folder)), encoding="utf-8")


def _configuration(folder: Path) -> dict[str, Any]:
    of_residual = [name for name in METHODS if name not in ("diffmeans", "transcoder")]
    plan = {"model": "tiny", "layers": [1]}
    return {
        "registry": str(folder / "registry"),
        "corpora": {
            "prose": {"dataset": "prose", "split": "train", "tokens": 3000, "context": 64},
            "heldout": {"dataset": "prose", "split": "test", "context": 64},
            "labelled": {"dataset": "labelled", "split": "all", "context": 48},
        },
        "harvest": {"tiny": {"sites": ["resid", "mlp_in", "mlp_out"], "layers": [1], "max_norm_ratio": 10}},
        "dictionaries": [
            {**plan, "corpus": "prose", "site": "resid", "methods": of_residual},
            {**plan, "corpus": "prose", "site": "mlp_in", "methods": ["transcoder"], "evaluations": ["core"]},
            {**plan, "corpus": "labelled", "site": "resid", "methods": ["diffmeans"], "evaluations": ["tpp"]},
        ],
        "evaluations": [
            {"evaluation": "nongaussianity", "corpora": ["prose", "heldout"], "methods": ["ica", "pca", "random"]},
            {"evaluation": "reconstruction", "corpora": ["heldout"], "methods": ["hierarchy"]},
            {"evaluation": "core", "corpora": ["heldout"], "methods": ["sasa", "transcoder"]},
            {"evaluation": "sparse-probing", "corpora": ["labelled"], "methods": ["bae"]},
            {"evaluation": "tpp", "corpora": ["labelled"], "methods": ["diffmeans"]},
            {"evaluation": "seed-stability", "corpora": ["prose"], "methods": ["snmf"]},
            {"evaluation": "receptive-field", "corpora": ["heldout"], "methods": ["sae"]},
        ],
        "figures": {"ica": ["fig3_nongaussianity"]},
    }


class Index(http.server.SimpleHTTPRequestHandler):
    """The folder as a package index below each of `MODES`, which says what becomes of a wheel that is asked for."""

    def do_GET(self) -> None:
        """Serve a file, or something else in its place."""
        _, mode, self.path = self.path.split("/", 2)
        path = Path(self.translate_path(self.path))
        if mode == "sound" or path.suffix != ".whl":
            super().do_GET()
            return
        if mode == "refused":
            self.send_error(503)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if mode == "altered":
            self.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))
            return
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        if mode == "stalled":
            time.sleep(10)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


MODES = ("sound", "refused", "altered", "cut", "stalled")


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """Port at which a process of its own serves the folder."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Index, directory=str(folder)))
    server.daemon_threads = True
    child = os.fork()
    if not child:
        server.serve_forever()
    port = server.server_port
    server.server_close()
    try:
        yield port
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def online(port: int, mode: str = "sound") -> dict[str, str]:
    """Environment in which pip knows this index alone, and is soon out of patience."""
    return {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_INDEX_URL": f"http://127.0.0.1:{port}/{mode}",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_DEFAULT_TIMEOUT": "1",
        "PIP_NO_CACHE_DIR": "1",
        "NO_PROXY": "127.0.0.1",
    }
