import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from unweave.activations.memory import InMemoryActivations
from unweave.methods import public_sae

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def expected():
    return load_file(GOLDEN / "expected.safetensors")


@pytest.fixture
def activations(expected):
    activations = InMemoryActivations(expected["x"])
    activations.site, activations.layer = "resid", 1
    return activations


@pytest.fixture
def fitted(activations):
    def fit(folder, **settings):
        settings = public_sae.Settings(folder=str(folder), **settings)
        return public_sae.fit(activations, settings, 0, torch.device("cpu"))

    return fit


@pytest.fixture
def changed(tmp_path):
    """Copy a golden folder and change its configuration and its weights; None removes one."""

    def change(name, configuration=None, weights=None):
        folder = tmp_path / name
        shutil.copytree(GOLDEN / name, folder)
        stated = json.loads((folder / "cfg.json").read_text())
        for key, value in (configuration or {}).items():
            if isinstance(stated.get(key), dict) and isinstance(value, dict):
                value = {**stated[key], **value}
            stated[key] = value
        (folder / "cfg.json").write_text(json.dumps(stated))
        tensors = {**load_file(folder / "sae_weights.safetensors"), **(weights or {})}
        tensors = {key: tensor.contiguous() for key, tensor in tensors.items() if tensor is not None}
        save_file(tensors, folder / "sae_weights.safetensors")
        return folder

    return change
