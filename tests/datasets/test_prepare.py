import errno
import json
import pickle
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unweave import files
from unweave.config import PROJECT, DatasetEntry, HubSource, validated
from unweave.datasets import prepare, readers
from unweave.datasets.prepare import prepare_dataset
from unweave.datasets.selection import normalised
from unweave.errors import UnweaveError

EntryOf = Callable[..., DatasetEntry]
MakeWheel = Callable[[Mapping[str, bytes]], Path]

ITEMS = [([f"A sentence about {'cats' if i % 2 else 'dogs'}, number {i}."], i % 2) for i in range(20)]
ITEMS += [(["  a SENTENCE about cats,\nnumber 1. "], 1), ([""], 0), (["Torn."], 0), (["torn."], 1)]
REGISTRY = yaml.safe_load((PROJECT / "config" / "datasets.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def wheel(make_wheel: MakeWheel) -> Path:
    return make_wheel({"words/words.dataset": pickle.dumps(ITEMS), "words/__init__.py": b"raise SystemExit"})


@pytest.fixture
def entry(entry_of: EntryOf, wheel: Path) -> DatasetEntry:
    return entry_of(wheel, "staicc", file="words/words.dataset", labels=["dogs", "cats"], min_characters=3)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_loads_with_the_documented_columns(entry: DatasetEntry, wheel: Path, tmp_path: Path) -> None:
    prepare_dataset("words", entry, wheel, tmp_path / "out")
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert {name: feature.dtype for name, feature in loaded.features.items()} == {
        "text": "string",
        "label": "int64",
        "split": "string",
        "source_id": "string",
    }
    assert loaded["text"] == [texts[0] for texts, _ in ITEMS[:20]]
    assert loaded["label"] == [label for _, label in ITEMS[:20]]
    assert loaded["source_id"] == [str(i + 1) for i in range(20)]
    assert Counter(zip(loaded["label"], loaded["split"], strict=True)) == {
        (0, "train"): 8,
        (0, "test"): 2,
        (1, "train"): 8,
        (1, "test"): 2,
    }


def test_the_manifest_tells_where_the_text_comes_from(entry: DatasetEntry, wheel: Path, tmp_path: Path) -> None:
    prepare_dataset("words", entry, wheel, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["name"] == "words"
    assert manifest["licence"] == "CC0"
    assert manifest["labels"] == ["dogs", "cats"]
    assert manifest["source"] == entry.source.model_dump()
    assert manifest["source_sha256"] == files.sha256_of(wheel)
    assert manifest["documents"] == {"train": {"dogs": 8, "cats": 8}, "test": {"dogs": 2, "cats": 2}}
    assert manifest["dropped"] == {"empty": 1, "short": 0, "duplicate": 1, "contradictory": 2}
    assert manifest["split"] == {"test_fraction": 0.2, "seed": 0}
    assert manifest["reader"] == "staicc"
    assert set(manifest["versions"]) == {"datasets", "numpy", "pyarrow"}


def test_two_runs_give_the_same_bytes(entry: DatasetEntry, wheel: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        prepare_dataset("words", entry, wheel, tmp_path / name)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    reseeded = entry.model_copy(update={"split": entry.split.model_copy(update={"seed": 5})})
    prepare_dataset("words", reseeded, wheel, tmp_path / "third")
    first, third = (json.loads((tmp_path / name / "state.json").read_text()) for name in ("first", "third"))
    assert first["_fingerprint"] != third["_fingerprint"]


def test_an_older_result_is_replaced(entry: DatasetEntry, wheel: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stale.arrow").write_bytes(b"x")
    prepare_dataset("words", entry, wheel, tmp_path / "out")
    assert "stale.arrow" not in contents(tmp_path / "out")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.text("aB \n", min_size=1, max_size=6), st.booleans()), max_size=40), data=st.data())
def test_no_text_is_in_both_splits_and_labels_stay_with_their_texts(
    rows: list[tuple[str, bool]], data: st.DataObject, tmp_path: Path, entry_of: EntryOf
) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text("".join(json.dumps({"text": text, "kind": ["no", "yes"][yes]}) + "\n" for text, yes in rows))
    split = {"test_fraction": data.draw(st.floats(0.05, 0.95)), "seed": data.draw(st.integers(0, 99))}
    try:
        prepare_dataset(
            "words",
            entry_of(path, "table", labels=["no", "yes"], options={"label": "kind"}, split=split),
            None,
            tmp_path / "o",
        )
    except UnweaveError:
        return
    loaded = datasets.load_from_disk(str(tmp_path / "o"), keep_in_memory=True)
    keys = {name: {normalised(row["text"]) for row in loaded if row["split"] == name} for name in ("train", "test")}
    assert not keys["train"] & keys["test"]
    assert sum(map(len, keys.values())) == len(loaded)
    labels_of = {normalised(text): int(yes) for text, yes in rows}
    assert all(row["label"] == labels_of[normalised(row["text"])] for row in loaded)


def test_sentences_of_one_speech_stay_in_one_split(tmp_path: Path, entry_of: EntryOf) -> None:
    path = tmp_path / "speeches.tsv"
    speeches = [" ".join(f"Sentence {s} of speech {i} is here." for s in range(5)) for i in range(10)]
    path.write_text("text\n" + "\n".join(speeches))
    entry = entry_of(path, "table", options={"unit": "sentence"})
    prepare_dataset("speeches", entry, None, tmp_path / "out")
    loaded = datasets.load_from_disk(str(tmp_path / "out"))
    assert len(loaded) == 50
    splits: dict[str, set[str]] = {}
    for row in loaded:
        splits.setdefault(row["source_id"].partition(":")[0], set()).add(row["split"])
    assert all(len(both) == 1 for both in splits.values())
    assert np.sum([both == {"test"} for both in splits.values()]) == 2


def test_a_local_folder_is_hashed_by_its_files(tmp_path: Path, entry_of: EntryOf) -> None:
    hashes = []
    for change in (b"two", b"two", b"2"):
        folder = tmp_path / "tree"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "1.txt").write_bytes(b"one")
        (folder / "a" / "2.txt").write_bytes(change)
        prepare_dataset("tree", entry_of(folder, "text_tree"), None, tmp_path / "out")
        hashes.append(json.loads((tmp_path / "out" / "manifest.json").read_text())["source_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_relative_local_path_is_relative_to_the_project(
    tmp_path: Path, entry_of: EntryOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_dataset("bank", entry_of(Path("resources/text/bank.txt"), "plain_text"), None, tmp_path / "out")
    assert len(datasets.load_from_disk(str(tmp_path / "out"))) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": "stacc"}, "unknown reader 'stacc'; known: "),
        ({"labels": ["dogs"]}, "labels: 1 of document 2 is missing; listed: dogs"),
        ({"labels": ["dogs", "cats", "birds"]}, "label 'birds' has 0 usable documents"),
        ({"min_characters": 1000}, "no document is left"),
        ({"options": {"colour": "red"}}, r"options\.colour: unexpected keyword"),
        ({"source": {"file": "words/gone"}}, "words/gone: no such file"),
        ({"source": {"sha256": "0" * 64}}, "SHA-256 is not 000000000000"),
        ({"source": {"file_sha256": "0" * 64}}, r"words\.dataset: SHA-256 is not 000000000000"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_the_older_result(
    entry: DatasetEntry, wheel: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    prepare_dataset("words", entry, wheel, tmp_path / "out")
    before = contents(tmp_path / "out")
    content = entry.model_dump()
    source = {**content["source"], **change.pop("source", {})}
    wrong = DatasetEntry(**{**content, **change, "source": source})
    with pytest.raises(UnweaveError, match=message) as caught:
        prepare_dataset("words", wrong, wheel, tmp_path / "out")
    assert str(caught.value).startswith("datasets.yaml: words: ")
    assert "\n" not in str(caught.value)
    assert contents(tmp_path / "out") == before
    assert not list(tmp_path.glob(".*partial"))


def test_missing_sources_are_named(entry: DatasetEntry, entry_of: EntryOf, tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match=r"words-1\.0: the downloaded wheel is needed"):
        prepare_dataset("words", entry, None, tmp_path / "out")
    with pytest.raises(UnweaveError, match=r"gone\.whl: no such file"):
        prepare_dataset("words", entry, tmp_path / "gone.whl", tmp_path / "out")
    with pytest.raises(UnweaveError, match=r"gone\.txt: no such file or folder"):
        prepare_dataset("words", entry_of(tmp_path / "gone.txt", "plain_text"), None, tmp_path / "out")


def test_a_full_disk_is_said_before_anything_is_written(
    entry: DatasetEntry, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(UnweaveError, match="preparing words needs"):
        prepare_dataset("words", entry, wheel, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_while_writing_leaves_nothing(
    entry: DatasetEntry, wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare, "write_json", fail)
    with pytest.raises(OSError, match="No space left"):
        prepare_dataset("words", entry, wheel, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == [wheel.name]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_registered_data_set_is_valid(name: str) -> None:
    entry = validated(DatasetEntry, REGISTRY[name], name)
    place = entry.source if isinstance(entry.source, HubSource) else Path()
    readers.read(entry.reader, place, entry.options)
    assert entry.licence
