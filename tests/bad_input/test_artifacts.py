"""Files of results that are damaged or forged: read as they were, or refused in one line.

A stage compares what it reads with the record of when it was made. The readers are tried without that too, as they meet
files that have no record.
"""

import json
import random
import shutil
import time

import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.faults import damage

from unweave.activations.store import StoredActivations, StoredTokens, read_attributes, read_tokens
from unweave.activations.writer import write_store
from unweave.commands.show import contents
from unweave.datasets.plain_pickle import load_plain_pickle
from unweave.datasets.tables import rows
from unweave.errors import UnweaveError
from unweave.fetch import read_member
from unweave.methods.dictionary import Fit, load, save
from unweave.methods.linear import LinearDictionary
from unweave.provenance import record, recorded_files, recorded_sha256, require_unchanged, sidecar
from unweave.results import scores
from unweave.results.frozen import require_listed
from unweave.results.index_page import page

MANY = settings(max_examples=50, suppress_health_check=list(HealthCheck))
DAMAGE = st.tuples(st.sampled_from(sorted(damage.EVERY)), st.integers(0, 2**32))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An activation file of one layer, with its record."""
    path = tmp_path_factory.mktemp("store") / "resid.h5"
    n = 300
    x = torch.randn(n, 8, generator=torch.Generator().manual_seed(0))
    index = torch.arange(n).numpy()
    tokens = StoredTokens(index, index // 10, index % 10)
    write_store(path, {"site": "resid", "layers": [1]}, tokens, 8, torch.float32, {1: [x]})
    record("harvest", [path], [], {}, time.monotonic())
    return path


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory):
    """A saved dictionary with its record."""
    folder = tmp_path_factory.mktemp("dictionary") / "seed0"
    atoms = torch.eye(4)
    fitted = LinearDictionary.build(torch.zeros(4), atoms, atoms.clone())
    save(Fit(fitted, {"fvu": 0.5}, {"loss": [1.0, 0.5]}), folder, {"layer": 1})
    record("fit", [folder / "manifest.json"], [], {}, time.monotonic())
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A score table with its record."""
    path = tmp_path_factory.mktemp("scores") / "seed0.parquet"
    key = scores.ScoreKey(
        model="m", revision="r", site="resid", layer=1, method="pca", fit_seed=0, evaluation="core", device="cpu",
        code="c", spec="s",
    )  # fmt: skip
    made = [
        scores.Score(metric="fvu", value=k / 7, dataset="d", n=9, unit="", higher_is_better=False) for k in range(9)
    ]
    scores.write(path, scores.table(key, made))
    record("evaluate", [path], [], {}, time.monotonic())
    return path


def read_or_refused(read, *arguments):
    """What was read, or None if it was refused in one line. Anything else fails the test."""
    try:
        return read(*arguments)
    except UnweaveError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert len(refusal) > 10
    return None


def spoilt(path, target, kind, seed):
    """A damaged copy with the record of the sound file."""
    shutil.copy(path, target)
    if sidecar(path).exists():
        shutil.copy(sidecar(path), sidecar(target))
    return damage.spoil(target, kind, random.Random(seed))


def read_everything(path):
    return [
        read_attributes(path)["site"],
        *(getattr(read_tokens(path), name).tolist() for name in ("ids", "docs", "positions")),
        StoredActivations(path, 1).rows().tolist(),
        StoredActivations(path, 1).statistics(row_norm=True).covariance.tolist(),
    ]


@MANY
@given(how=DAMAGE)
def test_a_damaged_activation_file_is_read_as_it_was_or_refused(store, tmp_path_factory, how):
    path = tmp_path_factory.mktemp("spoilt") / "resid.h5"
    spoilt(store, path, *how)
    found = read_or_refused(read_everything, path)
    assert found is None or found == read_everything(store)


@MANY
@given(how=DAMAGE)
def test_a_damaged_score_table_without_a_record_is_read_or_refused(table, tmp_path_factory, how):
    path = tmp_path_factory.mktemp("spoilt") / "seed0.parquet"
    spoilt(table, path, *how)
    read_or_refused(scores.read, [path])
    read_or_refused(contents, path)


@MANY
@given(how=DAMAGE)
def test_a_stage_refuses_a_damaged_score_table(table, tmp_path_factory, how):
    path = tmp_path_factory.mktemp("spoilt") / "seed0.parquet"
    if spoilt(table, path, *how):
        with pytest.raises(UnweaveError, match="has changed since it was made"):
            require_unchanged([path])


@MANY
@given(how=DAMAGE, name=st.sampled_from(["manifest.json", "history.parquet"]))
def test_a_stage_refuses_a_damaged_file_of_a_folder(dictionary, tmp_path_factory, how, name):
    folder = tmp_path_factory.mktemp("spoilt") / "seed0"
    shutil.copytree(dictionary, folder)
    if damage.spoil(folder / name, how[0], random.Random(how[1])):
        with pytest.raises(UnweaveError, match=f"{name}: has changed since it was made"):
            require_unchanged([folder / "manifest.json"])


def test_a_stage_refuses_a_folder_that_lost_a_file(dictionary, tmp_path):
    shutil.copytree(dictionary, tmp_path / "seed0")
    (tmp_path / "seed0" / "history.parquet").unlink()
    with pytest.raises(UnweaveError, match=r"history.parquet: is missing: delete .*manifest.json and run again"):
        require_unchanged([tmp_path / "seed0" / "manifest.json"])


@MANY
@given(how=DAMAGE)
def test_tensors_are_compared_with_the_manifest_even_without_a_record(dictionary, tmp_path_factory, how):
    folder = tmp_path_factory.mktemp("spoilt") / "seed0"
    shutil.copytree(dictionary, folder)
    sidecar(folder / "manifest.json").unlink()
    if damage.spoil(folder / "dictionary.safetensors", how[0], random.Random(how[1])):
        assert read_or_refused(load, folder) is None


@MANY
@given(content=JSON)
def test_a_forged_record_is_refused_or_says_nothing_wrong(table, tmp_path_factory, content):
    path = tmp_path_factory.mktemp("forged") / "seed0.parquet"
    shutil.copy(table, path)
    sidecar(path).write_text(json.dumps(content), encoding="utf-8")
    assert read_or_refused(recorded_files, path) is None
    assert read_or_refused(recorded_sha256, path) is None


@MANY
@given(how=DAMAGE)
def test_a_damaged_record_is_refused_or_leads_to_a_refusal_or_is_right(table, tmp_path_factory, how):
    path = tmp_path_factory.mktemp("damaged") / "seed0.parquet"
    shutil.copy(table, path)
    shutil.copy(sidecar(table), sidecar(path))
    damage.spoil(sidecar(path), how[0], random.Random(how[1]))
    read_or_refused(require_unchanged, [path])


@MANY
@given(how=DAMAGE)
def test_a_damaged_frozen_table_is_refused_by_the_list_of_hashes(table, tmp_path_factory, how):
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copy(table, folder / "core.parquet")
    (folder / "SHA256SUMS").write_text(f"{recorded_sha256(table)}  core.parquet\n")
    require_listed([folder / "core.parquet"])
    if damage.spoil(folder / "core.parquet", how[0], random.Random(how[1])):
        with pytest.raises(UnweaveError, match=r"core.parquet: is not the table that SHA256SUMS lists"):
            require_listed([folder / "core.parquet"])


@MANY
@given(
    content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".zip"])
)
def test_a_table_of_any_bytes_is_read_or_refused(tmp_path_factory, content, suffix):
    path = tmp_path_factory.mktemp("table") / f"x{suffix}"
    path.write_bytes(content)
    read_or_refused(lambda: list(rows(path)))


@MANY
@given(content=st.binary(max_size=200))
def test_a_pickle_or_archive_of_any_bytes_is_read_or_refused(tmp_path_factory, content):
    read_or_refused(load_plain_pickle, content, "x.pickle")
    path = tmp_path_factory.mktemp("archive") / "x.whl"
    path.write_bytes(content)
    read_or_refused(read_member, path, "x")


@MANY
@given(how=DAMAGE)
def test_a_damaged_checklist_is_shown_or_refused(tmp_path_factory, how):
    path = tmp_path_factory.mktemp("page") / "checklist.csv"
    columns = ["paper", "printed", "shows", "status", "reason"]
    pd.DataFrame([["ica", "Figure 1", "x", "not made", "y"]] * 3, columns=columns).to_csv(path, index=False)
    damage.spoil(path, how[0], random.Random(how[1]))
    read_or_refused(page, path.parent, path, [])


def forge(dictionary, folder, change):
    """A copy of the dictionary with another manifest and no record."""
    shutil.copytree(dictionary, folder)
    content = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    change(content)
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    sidecar(folder / "manifest.json").unlink()
    return folder


@MANY
@given(key=st.sampled_from(["format_version", "form", "traits", "shapes", "sha256"]), value=JSON)
def test_a_forged_manifest_of_a_dictionary_is_read_or_refused(dictionary, tmp_path_factory, key, value):
    folder = tmp_path_factory.mktemp("forged") / "seed0"
    read_or_refused(load, forge(dictionary, folder, lambda content: content.update({key: value})))


@pytest.mark.parametrize("key", ["format_version", "traits", "shapes"])
def test_a_manifest_of_a_dictionary_that_lost_a_key_is_refused(dictionary, tmp_path, key):
    with pytest.raises(UnweaveError):
        load(forge(dictionary, tmp_path / "seed0", lambda content: content.pop(key)))


@pytest.mark.parametrize(
    "change", [lambda m: m.pop("sha256"), lambda m: m.pop("form"), lambda m: m.update(options="x")]
)
def test_no_manifest_of_a_dictionary_raises_anything_else(dictionary, tmp_path, change):
    read_or_refused(load, forge(dictionary, tmp_path / "seed0", change))
