import json
import subprocess
import sys

import datasets
import numpy as np
import pytest
import torch

from unweave.activations.store import StoredTokens
from unweave.activations.writer import write_store
from unweave.config import MethodEntry
from unweave.datasets.stored import hash_dataset
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.methods import fit as stage
from unweave.methods.dictionary import load, read_manifest
from unweave.methods.fit import check_finite, fit_dictionary, training_labels

LAYER, DOCUMENTS = 3, 60


def write(path, x, site="resid", **attributes):
    tokens = StoredTokens(*(np.zeros(len(x), dtype=np.int32) for _ in range(3)))
    tokens.docs[:] = np.sort(np.arange(len(x)) % DOCUMENTS)
    write_store(path, {"site": site, **attributes}, tokens, x.shape[1], torch.float32, {LAYER: [x]})
    return path


@pytest.fixture
def stored(planted, tmp_path):
    """The planted activations as a file."""
    return write(tmp_path / "resid.h5", planted.x)


def run(tmp_path, method="ica", layer=LAYER, seed=2, files=None, **settings):
    entry = MethodEntry(method=method, title="", settings=settings)
    description = {"layer": layer, "method": "arm"}
    folder = tmp_path / "out"
    fit_dictionary(tmp_path / "resid.h5", layer, entry, seed, folder, torch.device("cpu"), description, **(files or {}))
    return folder


def test_the_stage_fits_with_the_settings_of_the_entry_and_the_seed_and_saves(stored, tmp_path):
    folder = run(tmp_path, iterations=7, preprocessing="row_norm")
    manifest = read_manifest(folder)
    assert manifest["diagnostics"]["iterations"] == 7
    assert manifest["diagnostics"]["attempts"][0]["seed"] == 2
    assert load(folder).traits.row_norm


def test_the_manifest_holds_all_settings_the_data_and_the_versions_behind_the_numbers(stored, planted, tmp_path):
    description = read_manifest(run(tmp_path, "pca"))["description"]
    assert description["settings"] == {"row_norm": False}
    assert description["data"] == {"sha256": sha256_of(stored), "n": len(planted.x), "d": 6}
    assert description["versions"]["torch"] == torch.__version__
    assert (description["layer"], description["method"], description["seed"]) == (LAYER, "arm", 2)


def test_two_fits_of_the_same_entry_leave_the_same_bytes(stored, tmp_path):
    first = {path.name: path.read_bytes() for path in run(tmp_path, iterations=3).iterdir()}
    second = {path.name: path.read_bytes() for path in run(tmp_path, iterations=3).iterdir()}
    assert first == second
    assert set(first) == {"manifest.json", "dictionary.safetensors", "history.parquet"}


def test_a_finished_fit_leaves_no_checkpoint(stored, tmp_path):
    run(tmp_path, iterations=3)
    assert not (tmp_path / ".out.checkpoint").exists()


@pytest.mark.parametrize("method", ["nothing", "dictionary"])
def test_an_unknown_method_is_one_clear_line(stored, tmp_path, method):
    with pytest.raises(UnweaveError, match=f"unknown method '{method}'"):
        run(tmp_path, method)


def test_a_wrong_setting_is_named(stored, tmp_path):
    with pytest.raises(UnweaveError, match=r"settings of ica: iterations: .*got -1"):
        run(tmp_path, iterations=-1)
    assert not (tmp_path / "out").exists()


def test_a_layer_that_is_missing_is_named(stored, tmp_path):
    with pytest.raises(UnweaveError, match=r"resid.h5: has no layer 4, only 3"):
        run(tmp_path, layer=4)


def test_activations_that_cannot_be_decomposed_are_named(tmp_path):
    write(tmp_path / "resid.h5", torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(UnweaveError, match=r"resid.h5, layer 3: ICA of 8 components: .* use at least 9 tokens"):
        run(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_refused_before_any_fit(planted, in_memory, value):
    x = planted.x[:500].clone()
    x[17, 4] = value
    with pytest.raises(UnweaveError, match=r"NaN or infinite values in . of 6 coordinates \(first: .\): harvest again"):
        check_finite(in_memory(x))


def save_text(folder, labels, splits):
    content = {"text": [f"text {i}" for i in range(DOCUMENTS)], "label": labels, "split": splits}
    datasets.Dataset.from_dict({**content, "source_id": content["text"]}).save_to_disk(folder)
    (folder / "manifest.json").write_text(json.dumps({"labels": ["no", "yes"], "content_sha256": hash_dataset(folder)}))
    return folder


def test_a_supervised_method_never_sees_labels_of_the_test_split(planted, tmp_path):
    text = save_text(tmp_path / "text", [0, 1] * (DOCUMENTS // 2), ["train", "train", "test"] * (DOCUMENTS // 3))
    stored = write(tmp_path / "resid.h5", planted.x, dataset_sha256=hash_dataset(text))
    labels = training_labels(stored, text)
    docs = np.sort(np.arange(len(labels)) % DOCUMENTS)
    assert (labels[docs % 3 == 2] == -1).all()
    assert (labels[docs % 3 != 2] == docs[docs % 3 != 2] % 2).all()


def test_labels_of_other_texts_than_those_that_were_harvested_are_refused(planted, tmp_path):
    text = save_text(tmp_path / "text", [0, 1] * (DOCUMENTS // 2), ["train"] * DOCUMENTS)
    stored = write(tmp_path / "resid.h5", planted.x, dataset_sha256=hash_dataset(text))
    other = save_text(tmp_path / "other", [1, 0] * (DOCUMENTS // 2), ["train"] * DOCUMENTS)
    with pytest.raises(
        UnweaveError, match=r"resid\.h5: was harvested from another version of .*other: delete it and run"
    ):
        training_labels(stored, other)


def test_targets_and_labels_reach_the_method(planted, tmp_path, monkeypatch):
    seen = {}

    def fit(activations, settings, seed, device, checkpoint):
        seen.update(targets=activations.targets, labels=activations.labels)
        return pca.fit(activations, settings, seed, device, checkpoint)

    from unweave.methods import pca

    module = type("Module", (), {"Settings": pca.Settings, "fit": staticmethod(fit), "__name__": pca.__name__})
    monkeypatch.setattr(stage, "method_module", lambda _: module)
    text = save_text(tmp_path / "text", [0, 1] * (DOCUMENTS // 2), ["train"] * DOCUMENTS)
    write(tmp_path / "resid.h5", planted.x, dataset_sha256=hash_dataset(text))
    target = write(tmp_path / "mlp_out.h5", 2 * planted.x, site="mlp_out")
    folder = run(tmp_path, "pca", files={"target_path": target, "text_folder": text})
    assert torch.equal(seen["targets"].rows(), 2 * planted.x)
    assert seen["targets"].site == "mlp_out"
    assert set(seen["labels"]) == {0, 1}
    assert read_manifest(folder)["description"]["target"] == {"sha256": sha256_of(target), "site": "mlp_out"}


def test_a_fit_of_stored_activations_does_not_wait_for_the_language_model_s_libraries():
    heavy = "{'transformers', 'datasets'} & set(sys.modules)"
    code = f"import sys, unweave.methods.fit, unweave.evaluations.run; print({heavy})"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
