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


def forged(folder, **changes):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, **changes, "traits": {**manifest["traits"], **changes.get("traits", {})}}))
    return folder


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"form": "dictionary.Traits"}, "form: dictionary.Traits is no dictionary"),
        ({"form": "dictionary.save"}, "form: dictionary.save is no dictionary"),
        ({"form": "checkpoint.Checkpoint"}, "form: checkpoint.Checkpoint is no dictionary"),
        ({"form": "dictionary.Dictionary", "traits": {"normalisation": "none"}}, "abstract"),
        ({"form": "raw_dimensions.RawDimensions"}, "normalisation: raw_dimensions.RawDimensions cannot do row_norm"),
        ({"traits": {"normalisation": "row-norm"}}, "traits: normalisation: input should be .*, got 'row-norm'"),
        ({"traits": {"normalisation": "layer_norm"}}, "normalisation: linear.LinearDictionary cannot do layer_norm"),
        ({"traits": {"normalisation": "median_norm"}}, "median_norm needs a tensor `median`"),
        ({"traits": {"signed": "no"}}, "traits: signed: input should be a valid boolean"),
        ({"traits": {"group_size": "x"}}, "traits: group_size: input should be a valid integer"),
        ({"traits": {"group_size": 0}}, "traits: group_size: input should be greater than or equal to 1"),
        ({"traits": {"group_size": 2}}, "traits: group_size: 3 features are no groups of 2"),
    ],
)
def test_a_form_and_traits_that_do_not_belong_together_are_refused(folder, changes, refusal):
    with pytest.raises(UnweaveError, match=rf"manifest\.json: a form or trait .*{refusal}.*: fit it again") as error:
        load(forged(folder, **changes))
    assert "\\n" not in str(error.value)


@pytest.mark.parametrize("form", ["kmeans.Centroids", "sae.dictionary.SparseAutoencoder", "snmf.dictionary.TRAITS"])
def test_a_form_that_the_tensors_are_not_of_is_refused(folder, form):
    with pytest.raises(UnweaveError, match="a form or trait that this code does not know"):
        load(forged(folder, form=form))


@pytest.mark.parametrize(
    ("key", "value", "refusal"),
    [
        ("traits", None, "valid dictionary"),
        ("options", [], "valid dictionary"),
        ("shapes", {"atoms": "3"}, "valid list"),
        ("sha256", 5, "valid string"),
        ("description", [1], "valid dictionary"),
    ],
)
def test_a_part_of_the_manifest_that_is_something_else_or_missing_is_named(folder, key, value, refusal):
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(UnweaveError, match=rf"manifest\.json: {key}.*{refusal}.*: delete .* and run again"):
        load(folder)
    path.write_text(json.dumps({name: part for name, part in manifest.items() if name != key}))
    with pytest.raises(UnweaveError, match=rf"manifest\.json: {key}: field required: delete .* and run again"):
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


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", "[" * 100_000])
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
