import json
import re
import time
from pathlib import Path

import pytest
import torch

from unweave.commands.compare import chosen, compare
from unweave.commands.dictionaries import place_of
from unweave.commands.doctor import findings, locked_versions
from unweave.commands.features import features
from unweave.commands.plan import at_once
from unweave.commands.show import contents, flattened
from unweave.commands.steer import steer
from unweave.config import PROJECT
from unweave.errors import UnweaveError
from unweave.library import fit
from unweave.methods.dictionary import Fit, save
from unweave.provenance import record
from unweave.results import scores
from unweave.results.scores import Score, ScoreKey


def score(metric: str, value: float, **more: object) -> Score:
    facts = {"metric": metric, "value": value, "dataset": "news", "n": 10, "unit": "1", "higher_is_better": True}
    return Score(**{**facts, **more})  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    facts = {"model": "m", "revision": "r", "site": "resid", "layer": 1, "fit_seed": 0, "evaluation": "core"}
    key = ScoreKey(**facts, method="ica", device="cpu", code="", spec="")  # type: ignore[arg-type]
    rows = [score("fve", 0.5, x_name="k", x=10.0), score("fve", 0.9, x_name="k", x=100.0), score("l0", 3.0)]
    scores.write(tmp_path / "scores.parquet", scores.table(key, rows))
    return tmp_path / "scores.parquet"


def test_a_score_table_is_summarised_by_metric(table: Path):
    shown = contents(table)
    assert shown["method"] == "ica"
    assert shown["fve on news"] == "2 rows, 0.5 to 0.9"


def test_a_dictionary_is_shown_by_its_folder(tmp_path: Path):
    dictionary = fit(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), "pca")
    save(Fit(dictionary), tmp_path / "pca", {"method": "pca", "layer": 3})
    shown = flattened(contents(tmp_path / "pca"))
    assert shown["description.layer"] == "3"
    assert shown["traits.linear"] == "True"


def test_what_cannot_be_shown_is_named(tmp_path: Path):
    with pytest.raises(UnweaveError, match="no such file"):
        contents(tmp_path / "absent.h5")
    (tmp_path / "text.txt").write_text("text")
    with pytest.raises(UnweaveError, match=r"only \.h5, \.json, \.parquet"):
        contents(tmp_path / "text.txt")
    for text in ('{"a"', "[" * 100_000, '{"a":' * 2000):
        (tmp_path / "cut.json").write_text(text)
        with pytest.raises(UnweaveError, match=r"cut\.json"):
            contents(tmp_path / "cut.json")


def test_a_table_without_a_score_is_named(table: Path):
    scores.write(table, scores.read([table]).iloc[:0])
    with pytest.raises(UnweaveError, match=r"scores\.parquet: holds no score: delete it and run again"):
        contents(table)


@pytest.mark.parametrize(
    ("description", "refusal"),
    [
        ({"layer": 3}, "does not say its site and layer: fit it by the workflow"),
        ({"site": "resid", "layer": "x"}, "does not say its site and layer: fit it by the workflow"),
        ([1], r"manifest\.json: description: input should be a valid dictionary"),
        (None, r"manifest\.json: description: field required"),
    ],
)
def test_a_dictionary_that_does_not_say_where_it_belongs_is_refused(tmp_path: Path, description: object, refusal: str):
    save(Fit(fit(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), "pca")), tmp_path / "pca", {})
    path = tmp_path / "pca/manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["description"]
    path.write_text(json.dumps(manifest if description is None else {**manifest, "description": description}))
    with pytest.raises(UnweaveError, match=refusal):
        place_of(tmp_path / "pca")


def test_rows_are_chosen_and_the_best_comes_first(table: Path):
    every = scores.read([table])
    assert chosen(every, "fve", {})["value"].tolist() == [0.9, 0.5]
    assert chosen(every, "fve", {"x": "10"})["value"].tolist() == [0.5]


def test_an_unknown_metric_column_or_value_names_what_there_is(table: Path):
    every = scores.read([table])
    with pytest.raises(UnweaveError, match="there are fve, l0"):
        chosen(every, "loss", {})
    with pytest.raises(UnweaveError, match="no column 'k'"):
        chosen(every, "fve", {"k": "10"})
    with pytest.raises(UnweaveError, match="there are 10, 100"):
        chosen(every, "fve", {"x": "7"})


def test_the_doctor_finds_this_environment_as_locked():
    found = {finding.what: finding for finding in findings(PROJECT)}
    assert found["packages"].mend == ""
    assert found["Python"].mend == ""
    assert len(locked_versions()) > 50


def test_the_doctor_names_what_to_mend(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unweave.commands.doctor.version", lambda _: "0.0.1")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1e9})())
    found = {finding.what: finding for finding in findings(PROJECT)}
    assert "h5py 0.0.1" in found["packages"].found
    assert found["packages"].mend
    assert "--directory" in found["free disk"].mend


def test_the_token_of_the_hub_is_never_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", "hf_canary")
    assert "canary" not in json.dumps([vars(finding) for finding in findings(PROJECT)])


def test_a_profile_says_what_runs_at_once():
    profiles = PROJECT / "workflow/profiles"
    assert at_once(None) == (None, 1)
    assert at_once(profiles / "gpu") == (None, 1)
    assert at_once(profiles / "slurm")[0] == 100
    with pytest.raises(UnweaveError, match="no such profile"):
        at_once(profiles / "moon")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "content: input should be a valid dictionary"),
        ("5", "content: input should be a valid dictionary"),
        ("resources: [5]", "resources: value error, 5 does not say NAME=VALUE"),
        ("resources: [gpu=x]", "resources.gpu: input should be a valid integer"),
        ("jobs: [1]", "jobs: input should be a valid integer"),
    ],
)
def test_a_profile_that_says_something_else_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "profile.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UnweaveError, match=re.escape(f"{tmp_path}/profile.yaml: {message}")):
        at_once(tmp_path)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("jobs: unlimited", (None, 1)),
        ("cores: 4", (4, 1)),
        ("jobs: 8\nresources: [mem_mb=100, gpu=2]", (8, 2)),
        ("resources: {gpu: 3}", (None, 3)),
    ],
)
def test_words_and_mappings_of_a_profile_are_understood(tmp_path: Path, text: str, known: tuple[int | None, int]):
    (tmp_path / "profile.yaml").write_text(text, encoding="utf-8")
    assert at_once(tmp_path) == known


def test_a_missing_package_is_named_however_many_versions_are_locked(monkeypatch: pytest.MonkeyPatch):
    from importlib.metadata import PackageNotFoundError, version

    def without_numpy(name: str) -> str:
        if name == "numpy":
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("unweave.commands.doctor.version", without_numpy)
    found = {finding.what: finding for finding in findings(PROJECT)}
    assert found["packages"].found == "missing: numpy"


def test_commands_refuse_results_that_are_not_as_they_were_recorded(table: Path, tmp_path: Path):
    folder = tmp_path / "pca"
    save(Fit(fit(torch.randn(50, 4, generator=torch.Generator().manual_seed(0)), "pca")), folder, {"method": "pca"})
    record("evaluate", [table], [], {}, time.monotonic())
    record("fit", [folder / "manifest.json"], [], {}, time.monotonic())
    for path in (table, folder / "manifest.json"):
        path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(UnweaveError, match=r"scores\.parquet: has changed since it was made"):
        contents(table)
    with pytest.raises(UnweaveError, match=r"scores\.parquet: has changed since it was made"):
        compare(tmp_path, "fve")
    with pytest.raises(UnweaveError, match=r"manifest\.json: has changed since it was made"):
        contents(folder)
    with pytest.raises(UnweaveError, match=r"manifest\.json: has changed since it was made"):
        features(folder, [0], tmp_path / "resid.h5", tmp_path / "text", tmp_path / "model")
    with pytest.raises(UnweaveError, match=r"manifest\.json: has changed since it was made"):
        steer(folder, 0, "text", tmp_path / "model")
