import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import datasets
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.data_files import DataFilesDict, DataFilesList

from unweave.config import HubSource
from unweave.datasets.document import Document
from unweave.datasets.readers.hub import read
from unweave.datasets.selection import select
from unweave.errors import UnweaveError

REVISION = "0123456789" * 4
ROWS = {"train": ["first", "second", "third"], "test": ["fourth"]}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A local repository in the place of the hub, with one Parquet file for each split and named classes."""
    repository = tmp_path / "repository"
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "kind": datasets.ClassLabel(names=["no", "yes"]),
            "number": datasets.Value("int64"),
        }
    )
    for split, texts in ROWS.items():
        table = datasets.Dataset.from_dict(
            {"text": texts, "kind": [1] * len(texts), "number": range(len(texts))}, features=features
        )
        (repository / "data").mkdir(parents=True, exist_ok=True)
        table.to_parquet(str(repository / "data" / f"{split}-00000-of-00001.parquet"))
    state = {"hash": REVISION, "asked": [], "folder": repository}
    load = datasets.load_dataset_builder

    def from_folder(repo: str, subset: str | None, revision: str) -> datasets.DatasetBuilder:
        state["asked"].append((repo, subset, revision))
        builder = load(str(repository), subset, cache_dir=str(tmp_path / "cache"))
        builder.hash = state["hash"]
        if "url" in state:
            builder.config.data_files = DataFilesDict({"train": DataFilesList([state["url"]], [("origin",)])})
        return builder

    monkeypatch.setattr(datasets, "load_dataset_builder", from_folder)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda _, file, **__: str(repository / file))
    return state


def source(**changes: Any) -> HubSource:
    return HubSource(**{"type": "hub", "repo": "stand/in", "revision": REVISION, **changes})


def test_rows_come_in_order_of_the_splits_at_the_pinned_revision(stand_in: dict[str, Any]) -> None:
    found = list(read(source(splits=["test", "train"]), label="number"))
    assert found == [
        Document("fourth", 0, "test:1"),
        Document("first", 0, "train:1"),
        Document("second", 1, "train:2"),
        Document("third", 2, "train:3"),
    ]
    assert stand_in["asked"] == [("stand/in", None, REVISION)]


def test_named_classes_become_names(stand_in: dict[str, Any]) -> None:
    assert {document.label for document in read(source(), label="kind")} == {"yes"}
    assert {document.label for document in read(source())} == {None}


def test_a_column_without_text_is_refused_where_documents_are_chosen(stand_in: dict[str, Any]) -> None:
    with pytest.raises(UnweaveError, match=r"document train:1 is of type int, not text: correct `options\.text`"):
        select(read(source(), text="number"), [], 1)


def test_a_limit_streams_only_so_many_rows(stand_in: dict[str, Any], tmp_path: Path) -> None:
    found = list(read(source(splits=["train", "test"]), label="kind", max_documents=2))
    assert found == [Document("first", "yes", "train:1"), Document("second", "yes", "train:2")]
    assert not list(tmp_path.glob("cache/**/*.arrow"))


def test_another_revision_in_the_cache_is_not_taken_for_the_pinned_one(stand_in: dict[str, Any]) -> None:
    stand_in["hash"] = "f" * 40
    with pytest.raises(UnweaveError, match=r"stand/in@012345678901: .*its cache holds another revision"):
        list(read(source()))


def test_pinned_hashes_are_checked(stand_in: dict[str, Any]) -> None:
    file = "data/train-00000-of-00001.parquet"
    right = hashlib.sha256((stand_in["folder"] / file).read_bytes()).hexdigest()
    assert len(list(read(source(sha256={file: right})))) == 3
    with pytest.raises(UnweaveError, match=f"SHA-256 of {file} is not 000000000000"):
        list(read(source(sha256={file: "0" * 64})))


def test_a_download_that_was_damaged_in_the_cache_is_named(
    stand_in: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = stand_in["folder"] / "data" / "train-00000-of-00001.parquet"
    blob = tmp_path / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
    blob.parent.mkdir()
    blob.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(blob)
    place = SimpleNamespace(
        repo_id="stand/in", path_in_repo=f"data/{file.name}", repo_type="dataset", revision=REVISION
    )
    monkeypatch.setattr(huggingface_hub.HfFileSystem, "resolve_path", lambda *_: place)
    monkeypatch.setattr(huggingface_hub.HfApi, "hf_hub_download", lambda *_, **__: str(file))
    stand_in["url"] = f"hf://datasets/stand/in@{REVISION}/data/{file.name}"
    assert len(list(read(source()))) == 3
    blob.write_bytes(blob.read_bytes().replace(b"second", b"secund"))
    with pytest.raises(UnweaveError, match=rf"blobs/{blob.name}: is not what the hub published"):
        list(read(source()))


def test_a_table_of_the_library_that_was_damaged_is_made_anew(stand_in: dict[str, Any], tmp_path: Path) -> None:
    sound = list(read(source()))
    (table,) = (tmp_path / "cache").rglob("*-train.arrow")
    assert b"second" in table.read_bytes()
    table.write_bytes(table.read_bytes().replace(b"second", b"secund"))
    assert list(read(source())) == sound


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"splits": ["dev"]}, {}, 'Unknown split "dev"'),
        ({"subset": "big"}, {}, "'big' not found"),
        ({}, {"text": "body"}, "has no column 'body'; its columns are text, kind, number"),
        ({}, {"label": "class"}, "has no column 'class'"),
    ],
)
def test_what_the_repository_lacks_is_named(
    stand_in: dict[str, Any], changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UnweaveError, match=message) as caught:
        list(read(source(**changes), **options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("Couldn't reach 'stand/in' on the Hub"), "the hub cannot be reached and its cache lacks"),
        (datasets.exceptions.DatasetNotFoundError("It doesn't exist."), "HF_TOKEN"),
        (RuntimeError("Dataset scripts are no longer supported, but found in.py"), "a script .* is never run"),
        (ValueError("something\nlong"), "cannot be read: something$"),
    ],
)
def test_failures_of_the_hub_are_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception, message: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    with pytest.raises(UnweaveError, match=message):
        list(read(source()))


def test_a_repository_with_a_script_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "script.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')")
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "script" / "train.parquet")
    load = datasets.load_dataset_builder
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_, **__: load(str(tmp_path / "script")))
    with pytest.raises(UnweaveError, match="never run"):
        list(read(source()))
    assert not (tmp_path / "owned").exists()
