import json

import datasets
import numpy as np
import pandas as pd
import pytest
import torch

from unweave.activations.store import StoredTokens
from unweave.activations.writer import write_store
from unweave.config import EvaluationEntry
from unweave.datasets.stored import hash_dataset
from unweave.errors import UnweaveError
from unweave.evaluations.run import StoredCorpus, run_evaluation
from unweave.methods.dictionary import Fit, save
from unweave.results.scores import COLUMNS, read

D, LAYER, TEXTS = 5, 2, 6
KEY = {"model": "tiny", "site": "resid", "layer": LAYER, "method": "axes", "fit_seed": 2, "evaluation": "fve"}


@pytest.fixture
def stored(tmp_path, make_dictionary):
    """Arguments of run_evaluation for one corpus of six texts with four rows each."""
    docs = np.repeat(np.arange(TEXTS), 4)
    tokens = StoredTokens(np.arange(len(docs)), docs, np.tile(np.arange(1, 5), TEXTS))
    x = torch.randn(len(docs), D, generator=torch.Generator().manual_seed(0))
    rows = {"text": [f"text {i}" for i in range(TEXTS)], "label": [0, 1, -1] * 2, "split": ["train", "test"] * 3}
    datasets.Dataset.from_dict({**rows, "source_id": rows["text"]}).save_to_disk(tmp_path / "text")
    attributes = {"dataset_sha256": hash_dataset(tmp_path / "text")}
    write_store(tmp_path / "acts.h5", attributes, tokens, D, torch.float32, {LAYER: [x]})
    (tmp_path / "text" / "manifest.json").write_text(json.dumps({"labels": ["no", "yes"]}))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "manifest.json").write_text(json.dumps({"revision": "r1"}))
    save(Fit(make_dictionary(D)), tmp_path / "dictionary", {"settings": {}, "seed": 2})
    return {
        "dictionary_folder": tmp_path / "dictionary",
        "activation_paths": {"c": tmp_path / "acts.h5"},
        "dataset_folders": {"c": tmp_path / "text"},
        "model_folder": tmp_path / "model",
        "entry": EvaluationEntry(evaluation="reconstruction", settings={"k": [1]}, seed=4),
        "key": KEY,
        "output": tmp_path / "scores.parquet",
        "device": torch.device("cpu"),
    }


def test_stored_files_become_one_score_table_with_its_key(stored):
    run_evaluation(**stored)
    scores = read([stored["output"]])
    assert list(scores.columns) == list(COLUMNS)
    full = scores[(scores.metric == "fve") & (scores.x == D)]
    assert full.value.item() == pytest.approx(1)
    for column, value in {**KEY, "revision": "r1", "device": "cpu", "dataset": "c", "seed": 4}.items():
        assert (scores[column] == value).all()


def test_the_same_run_gives_the_same_bytes(stored):
    run_evaluation(**stored)
    first = stored["output"].read_bytes()
    run_evaluation(**stored)
    assert stored["output"].read_bytes() == first


def test_the_spec_column_changes_with_the_settings_and_the_code_column_does_not(stored):
    run_evaluation(**stored)
    first = read([stored["output"]])
    changed = EvaluationEntry(evaluation="reconstruction", settings={"k": [2]}, seed=4)
    run_evaluation(**{**stored, "entry": changed})
    second = read([stored["output"]])
    assert first.spec.unique() != second.spec.unique()
    pd.testing.assert_series_equal(first.code, second.code)


def test_a_stored_corpus_offers_texts_labels_and_splits_by_row_of_the_document(stored):
    corpus = StoredCorpus(stored["activation_paths"]["c"], stored["dataset_folders"]["c"], LAYER)
    assert corpus.texts[3] == "text 3"
    assert corpus.labels.tolist() == [0, 1, -1, 0, 1, -1]
    assert corpus.splits.tolist() == ["train", "test"] * 3
    assert corpus.label_names == ["no", "yes"]
    assert corpus.tokens.docs.tolist() == sorted(corpus.tokens.docs.tolist())
    assert (corpus.activations.n, corpus.activations.d) == (24, D)


def test_texts_that_changed_since_the_harvest_are_refused(stored):
    other = datasets.Dataset.from_dict({"text": ["new"], "label": [0], "split": ["test"], "source_id": [""]})
    other.save_to_disk(stored["dataset_folders"]["c"])
    probing = EvaluationEntry(evaluation="sparse_probing")
    with pytest.raises(
        UnweaveError, match=r"fve of axes at layer 2: .*acts\.h5: was harvested from another version of"
    ):
        run_evaluation(**{**stored, "entry": probing})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"entry": EvaluationEntry(evaluation="nonsense")}, "unknown evaluation 'nonsense'"),
        ({"entry": EvaluationEntry(evaluation="intervals")}, "unknown evaluation 'intervals'"),
        (
            {"entry": EvaluationEntry(evaluation="reconstruction", settings={"k": [-1]})},
            "settings of reconstruction: k",
        ),
        ({"entry": EvaluationEntry(evaluation="reconstruction", settings={"depth": 1})}, "unknown key"),
        ({"key": {**KEY, "layer": 9}}, "no layer 9"),
        ({"entry": EvaluationEntry(evaluation="sparse_probing")}, None),
    ],
)
def test_mistakes_end_in_one_line_and_no_table(stored, change, message):
    if message is None:
        (stored["dataset_folders"]["c"] / "manifest.json").unlink()
        message = r"text/manifest\.json: missing or damaged"
    with pytest.raises(UnweaveError, match=message) as caught:
        run_evaluation(**{**stored, **change})
    assert "\n" not in str(caught.value)
    assert not stored["output"].exists()


def test_a_score_that_is_not_finite_is_an_error_and_no_table(stored, make_dictionary):
    broken = make_dictionary(D)
    broken.tensors["center"][0] = float("nan")
    save(Fit(broken), stored["dictionary_folder"], {})
    with pytest.raises(UnweaveError, match="fve on c is nan"):
        run_evaluation(**stored)
    assert not stored["output"].exists()
