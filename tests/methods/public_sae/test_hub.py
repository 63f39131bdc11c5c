"""Loading a release, with stand-ins for sae-lens and the network."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from unweave.errors import UnweaveError
from unweave.methods import public_sae
from unweave.methods.public_sae.hub import tensors_sha256

GOLDEN = Path(__file__).parent / "golden"
CPU = torch.device("cpu")


@pytest.fixture
def asked(monkeypatch):
    """Install a stand-in for sae-lens whose one release is the golden folders; collects what is asked for."""
    asked = []

    class SAE:
        @staticmethod
        def from_pretrained(release, sae_id, device, dtype):
            asked.append((release, sae_id, device, dtype))
            if release != "golden":
                raise ValueError(f"Release {release} not found in pretrained SAEs directory.\nSee the list.")
            folder = GOLDEN / sae_id
            if not folder.exists():
                raise FileNotFoundError("cannot reach the hub")
            configuration = json.loads((folder / "cfg.json").read_text())
            return SimpleNamespace(
                cfg=SimpleNamespace(to_dict=lambda: configuration),
                state_dict=lambda: load_file(folder / "sae_weights.safetensors"),
            )

    entry = SimpleNamespace(
        repo_id="someone/golden",
        saes_map={"topk": "path/topk"},
        model="tiny",
        expected_l0={"topk": 3.0},
        expected_var_explained={"topk": 0.9},
        neuronpedia_id={"topk": None},
        norm_scaling_factor={},
    )
    package = ModuleType("sae_lens")
    package.SAE, package.__version__ = SAE, "6.0"
    directory = ModuleType("sae_lens.loading.pretrained_saes_directory")
    directory.get_pretrained_saes_directory = lambda: {"golden": entry}
    monkeypatch.setitem(sys.modules, "sae_lens", package)
    monkeypatch.setitem(sys.modules, "sae_lens.loading", ModuleType("sae_lens.loading"))
    monkeypatch.setitem(sys.modules, "sae_lens.loading.pretrained_saes_directory", directory)
    return asked


def fit(activations, release="golden", sae_id="topk", **settings):
    settings = public_sae.Settings(release=release, sae_id=sae_id, **settings)
    return public_sae.fit(activations, settings, 0, CPU)


def test_a_release_is_encoded_like_the_folder_it_was_saved_from(asked, activations, expected):
    found = fit(activations, unit_atoms=False)
    codes = found.dictionary.encode(expected["x"])
    torch.testing.assert_close(codes, expected["topk/layer_norm/1/codes"], rtol=1e-5, atol=1e-5)
    assert asked == [("golden", "topk", "cpu", "float32")]


def test_facts_of_the_directory_are_recorded(asked, activations):
    facts = fit(activations).diagnostics
    stated = {"release": "golden", "sae_id": "topk", "sae_lens": "6.0", "repo_id": "someone/golden", "stated_l0": 3.0}
    assert stated.items() <= facts.items()
    assert "neuronpedia_id" not in facts


def test_what_was_had_is_recorded_to_the_bit(asked, activations):
    first, second = (fit(activations).diagnostics["tensors_sha256"] for _ in range(2))
    assert first == second == tensors_sha256(load_file(GOLDEN / "topk" / "sae_weights.safetensors"))
    weights = {"b": torch.zeros(()), "W": torch.ones(2, 3)}
    assert tensors_sha256(weights) == tensors_sha256(dict(reversed(weights.items())))
    for other in ({"W": torch.ones(3, 2)}, {"b": torch.tensor(1e-45)}, {"c": torch.ones(1)}):
        assert tensors_sha256({**weights, **other}) != tensors_sha256(weights)


class NetworkError(Exception):
    """As the hub's client raises them: of no common base."""


def test_a_network_that_fails_is_one_line_with_the_mend(asked, activations, monkeypatch):
    def fail(*_, **__):
        raise NetworkError("connection refused\nby somebody")

    monkeypatch.setattr(sys.modules["sae_lens"].SAE, "from_pretrained", fail)
    with pytest.raises(UnweaveError, match="golden, topk: connection refused: correct release and sae_id, or see to"):
        fit(activations)


def test_ids_name_the_block_of_the_activations(asked, activations):
    fit(activations, sae_id=["gated", "topk"])
    assert asked[0][1] == "topk"
    with pytest.raises(UnweaveError, match="sae_id has 1 ids, for blocks from 0 on, and none for block 1: add it"):
        fit(activations, sae_id=["gated"])
    with pytest.raises(UnweaveError, match="golden, layer1: cannot reach the hub"):
        fit(activations, sae_id="layer{layer}")


def test_an_unknown_release_is_one_line_with_the_mend(asked, activations):
    with pytest.raises(
        UnweaveError, match=r"nothing, topk: Release nothing not found .*: correct release and"
    ) as error:
        fit(activations, release="nothing")
    assert "\n" not in str(error.value)


def test_without_sae_lens_the_error_says_how_to_install_it(monkeypatch, activations):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    with pytest.raises(UnweaveError, match=r"pip install 'sae-lens>=6.54,<7', or name a `folder`") as error:
        fit(activations)
    assert "\n" not in str(error.value)


def test_a_folder_needs_no_sae_lens():
    code = (
        "import sys; sys.modules['sae_lens'] = None\n"
        "import torch\n"
        "from unweave.activations.memory import InMemoryActivations\n"
        "from unweave.methods import public_sae\n"
        f"settings = public_sae.Settings(folder={str(GOLDEN / 'gated')!r})\n"
        "public_sae.fit(InMemoryActivations(torch.randn(20, 6)), settings, 0, torch.device('cpu'))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
