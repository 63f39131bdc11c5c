import json

import pandas as pd
import pytest
import torch

from unweave.errors import UnweaveError
from unweave.files import MANIFEST
from unweave.methods.dictionary import HISTORY_FILE, TENSORS_FILE, Fit, load, read_manifest, save
from unweave.methods.linear import LinearDictionary


@pytest.fixture
def fitted():
    generator = torch.Generator().manual_seed(0)
    center, readers = torch.randn(4, generator=generator), torch.randn(3, 4, generator=generator)
    dictionary = LinearDictionary.build(center, readers, readers * 2, row_norm=True)
    return Fit(dictionary, {"converged": True}, {"contrast": [0.1, 0.2]})


@pytest.fixture
def folder(fitted, tmp_path):
    save(fitted, tmp_path / "dictionary", {"layer": 3})
    return tmp_path / "dictionary"


def test_a_loaded_dictionary_is_the_saved_one(fitted, folder):
    loaded = load(folder)
    assert type(loaded) is LinearDictionary
    assert loaded.traits == fitted.dictionary.traits
    x = torch.randn(5, 4)
    assert torch.equal(loaded.encode(x), fitted.dictionary.encode(x))
    assert torch.equal(loaded.decode(loaded.encode(x)), fitted.dictionary.decode(fitted.dictionary.encode(x)))


def test_the_manifest_tells_where_a_dictionary_is_from_and_how_its_fit_went(folder):
    manifest = read_manifest(folder)
    assert manifest["description"] == {"layer": 3}
    assert manifest["diagnostics"] == {"converged": True}
    assert manifest["shapes"]["atoms"] == [3, 4]


def test_training_curves_are_kept_as_tidy_data(fitted, folder):
    curves = pd.read_parquet(folder / HISTORY_FILE)
    assert curves.to_dict("list") == {"curve": ["contrast"] * 2, "step": [1, 2], "value": [0.1, 0.2]}


def test_points_of_a_curve_keep_the_steps_they_belong_to(fitted):
    fit = Fit(fitted.dictionary, history={"loss": [3.0, 2.0], "l0": [9.0, 8.0]}, history_steps=[1, 50])
    assert fit.curves().to_pydict() == {
        "curve": ["l0", "l0", "loss", "loss"], "step": [1, 50, 1, 50], "value": [9.0, 8.0, 3.0, 2.0]
    }  # fmt: skip


@pytest.mark.parametrize("change", [{"form": "linear.Nothing"}, {"form": "nothing.At"}, {"traits": {"colour": 1}}])
def test_what_this_code_does_not_know_is_refused(folder, change):
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UnweaveError, match="a form or trait that this code does not know"):
        load(folder)


def test_tensors_of_another_shape_than_the_manifest_says_are_refused(folder):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, "shapes": {**manifest["shapes"], "atoms": [9, 9]}}))
    with pytest.raises(UnweaveError, match="its manifest says"):
        load(folder)


def test_saving_twice_writes_the_same_bytes(fitted, folder, tmp_path):
    save(fitted, tmp_path / "again", {"layer": 3})
    for name in (TENSORS_FILE, MANIFEST, HISTORY_FILE):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_tensors_that_were_changed_are_refused(folder):
    path = folder / TENSORS_FILE
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match="damaged"):
        load(folder)


@pytest.mark.parametrize("name", [TENSORS_FILE, MANIFEST])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(UnweaveError, match=name):
        load(folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json"])
def test_a_damaged_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(UnweaveError, match="not a readable dictionary manifest"):
        load(folder)


def test_a_dictionary_of_another_format_is_refused(folder):
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    with pytest.raises(UnweaveError, match="format version 99"):
        load(folder)


def test_a_save_that_fails_leaves_the_dictionary_before_it(fitted, folder):
    with pytest.raises(TypeError):
        save(fitted, folder, {"not": object()})
    assert load(folder).n_features == 3
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
