import json
import shutil
import socket
import time
from pathlib import Path

import pytest
import torch

from unweave.errors import UnweaveError
from unweave.models.gguf import convert_gguf
from unweave.models.language_model import load_language_model, load_transformers, preferred_dtype
from unweave.provenance import record

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prepared(tiny_writer, tmp_path_factory) -> Path:
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("prepared")
    convert_gguf(tiny_writer(tied=True).write(source / "model.gguf"), folder)
    (folder / "manifest.json").write_text(json.dumps({"name": "tiny", "revision": "tiny==1.0"}))
    return folder


@pytest.fixture
def spoilt(prepared, tmp_path) -> Path:
    """A copy of the prepared model that a test may damage."""
    return Path(shutil.copytree(prepared, tmp_path / "spoilt"))


def test_a_prepared_model_is_loaded_for_inference(prepared):
    language_model = load_language_model(prepared, torch.float32, CPU)
    assert language_model.name == "tiny"
    assert language_model.revision == language_model.manifest["revision"] == "tiny==1.0"
    assert not language_model.model.training
    assert not any(parameter.requires_grad for parameter in language_model.model.parameters())
    tokens = language_model.tokenizer("hello", return_tensors="pt").input_ids
    assert language_model.model(tokens).logits.shape == (1, tokens.shape[1], 267)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_weight_has_the_dtype_that_was_asked_for(prepared, dtype):
    model = load_language_model(prepared, dtype, CPU).model
    assert {parameter.dtype for parameter in model.parameters()} == {dtype}


def test_loading_needs_no_network(prepared, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a prepared model must load without the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    load_language_model(prepared, torch.float32, CPU)


def test_a_folder_without_a_manifest_is_not_a_prepared_model(spoilt):
    (spoilt / "manifest.json").unlink()
    with pytest.raises(UnweaveError, match=r"spoilt: has no manifest\.json, .* make it with"):
        load_language_model(spoilt, torch.float32, CPU)


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_a_model_that_has_changed_since_it_was_prepared_is_not_loaded(spoilt, file):
    record("model", [spoilt / "manifest.json"], [], {}, time.monotonic())
    load_language_model(spoilt, torch.float32, CPU)
    content = (spoilt / file).read_bytes()
    # A digit of the text, a bit of a weight: either could be loaded without a complaint.
    (spoilt / file).write_bytes(content[:-64] + bytes([content[-64] ^ 1]) + content[-63:])
    with pytest.raises(UnweaveError, match=f"{file}: has changed since it was made"):
        load_language_model(spoilt, torch.float32, CPU)


def test_a_damaged_manifest_is_named(spoilt):
    (spoilt / "manifest.json").write_text('{"name": "ti')
    with pytest.raises(UnweaveError, match=r"manifest\.json: is damaged"):
        load_language_model(spoilt, torch.float32, CPU)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_told_in_one_line(spoilt, file):
    (spoilt / file).unlink()
    with pytest.raises(UnweaveError, match="spoilt: not a model that transformers can load") as error:
        load_transformers(spoilt, torch.float32, CPU)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 32},
        {"hidden_size": "wide"},
        {"model_type": "unheard-of"},
        {
            "model_type": "unheard-of",
            "auto_map": {"AutoModelForCausalLM": "modeling.Model", "AutoConfig": "modeling.Config"},
        },
    ],
)
def test_a_configuration_that_does_not_fit_is_told_in_one_line(spoilt, change):
    config = json.loads((spoilt / "config.json").read_text())
    (spoilt / "config.json").write_text(json.dumps(config | change))
    (spoilt / "modeling.py").write_text("raise SystemExit('code of a model must never run')")
    with pytest.raises(UnweaveError, match="spoilt: not a model that transformers can load") as error:
        load_transformers(spoilt, torch.float32, CPU)
    assert "\n" not in str(error.value)


def test_a_missing_weight_is_named_and_not_drawn_at_random(spoilt):
    config = json.loads((spoilt / "config.json").read_text())
    (spoilt / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(UnweaveError, match=r"the weights lack model\.layers\.2\.\S+: the model is incomplete"):
        load_transformers(spoilt, torch.float32, CPU)


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({"architecture": "aarch64", "bf16": True}, torch.float32),
    ],
)
def test_auto_takes_bfloat16_on_a_cpu_that_has_instructions_for_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert preferred_dtype("auto", CPU) == expected


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_takes_bfloat16_on_a_gpu_that_does_not_merely_emulate_it(monkeypatch, native, expected):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert preferred_dtype("auto", torch.device("cuda")) == expected


def test_other_devices_stay_with_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert preferred_dtype("auto", torch.device("mps")) == torch.float32


@pytest.mark.parametrize(("setting", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_an_explicit_dtype_is_taken_as_it_is(setting, expected):
    assert preferred_dtype(setting, CPU) == expected
