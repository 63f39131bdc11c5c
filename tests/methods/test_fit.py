import pytest
import torch

from unweave.config import MethodEntry
from unweave.errors import UnweaveError
from unweave.methods import fit as stage
from unweave.methods.dictionary import load, read_manifest


@pytest.fixture
def stored(monkeypatch, planted):
    """The planted activations in the place of a file."""
    monkeypatch.setattr(stage, "StoredActivations", lambda *_: planted.activations)
    return planted.activations


def run(tmp_path, method="ica", **settings):
    entry = MethodEntry(method=method, title="", settings=settings, seed=2)
    stage.fit_dictionary(tmp_path / "resid.h5", 3, entry, tmp_path / "out", torch.device("cpu"), {"layer": 3})
    return tmp_path / "out"


def test_the_stage_fits_with_the_settings_and_seed_of_the_entry_and_saves(stored, planted, tmp_path, cpu):
    folder = run(tmp_path, iterations=7, row_norm=True)
    manifest = read_manifest(folder)
    assert manifest["diagnostics"]["iterations"] == 7
    assert manifest["diagnostics"]["attempts"][0]["seed"] == 2
    assert manifest["description"] == {"layer": 3}
    assert load(folder).traits.row_norm


def test_progress_is_logged(stored, tmp_path, caplog):
    with caplog.at_level("INFO"):
        run(tmp_path, iterations=25)
    assert [record.args[1] for record in caplog.records] == [10, 20, 25]
    assert "LIM max" in caplog.messages[0]


@pytest.mark.parametrize("method", ["nothing", "dictionary"])
def test_an_unknown_method_is_one_clear_line(stored, tmp_path, method):
    with pytest.raises(UnweaveError, match=f"unknown method '{method}'"):
        run(tmp_path, method)


def test_a_wrong_setting_is_named(stored, tmp_path):
    with pytest.raises(UnweaveError, match=r"settings of ica: iterations: .*got 0"):
        run(tmp_path, iterations=0)
    assert not (tmp_path / "out").exists()


def test_activations_that_cannot_be_decomposed_are_named(monkeypatch, in_memory, tmp_path):
    few = in_memory(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    monkeypatch.setattr(stage, "StoredActivations", lambda *_: few)
    with pytest.raises(UnweaveError, match=r"resid.h5, layer 3: ICA of 8 components: .* use at least 9 tokens"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()
