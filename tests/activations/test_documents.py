from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from unweave.activations.documents import (
    adds_bos,
    length_bucketed,
    select_rows,
    tokenised,
)
from unweave.config import CorpusSettings
from unweave.datasets.stored import hash_dataset, load_dataset
from unweave.errors import UnweaveError

LABELS = [0, 1, 0, 1, 0, -1, -1, 0, 1, -1]
SPLITS = ["train", "train", "test", "train", "train", "train", "test", "train", "test", "train"]


def chosen(folder: Path, **settings: object) -> list[int]:
    corpus = CorpusSettings.model_validate({"dataset": "tiny", **settings})
    return select_rows(load_dataset(folder), corpus).tolist()


@pytest.fixture
def labelled(tmp_path: Path, make_dataset: Callable[..., Path]) -> Path:
    return make_dataset(tmp_path / "data", list("abcdefghij"), LABELS, SPLITS)


def test_a_split_is_chosen_in_stored_order(labelled: Path) -> None:
    assert chosen(labelled, split="test") == [2, 6, 8]
    assert chosen(labelled, split="all") == list(range(10))


@pytest.mark.parametrize("split", ["train", "all"])
@pytest.mark.parametrize("wanted", [1, 2])
def test_as_many_documents_as_wanted_are_drawn_for_each_label_and_split(
    labelled: Path, split: str, wanted: int
) -> None:
    rows = chosen(labelled, split=split, documents_per_label=wanted)
    everything = Counter(zip(SPLITS, LABELS, strict=True))
    drawn = Counter((SPLITS[row], LABELS[row]) for row in rows)
    assert drawn == {key: min(n, wanted) for key, n in everything.items() if split in ("all", key[0])}
    assert rows == sorted(rows)


def test_the_draw_follows_its_seed_and_is_no_run_of_neighbours(
    tmp_path: Path, make_dataset: Callable[..., Path]
) -> None:
    folder = make_dataset(tmp_path / "long", [f"text {i}" for i in range(100)])
    draws = [chosen(folder, split="train", documents_per_label=10, seed=seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert max(draws[0]) > 20


def test_a_split_without_documents_is_named(tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    folder = make_dataset(tmp_path / "data", ["a", "b"])
    with pytest.raises(UnweaveError, match="data set tiny has no document in split 'test'"):
        chosen(folder, split="test")


def test_a_folder_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnweaveError, match="not a readable data set"):
        load_dataset(tmp_path / "nothing")


def test_the_hash_follows_the_content(tmp_path: Path, make_dataset: Callable[..., Path]) -> None:
    one, same, other = (
        hash_dataset(make_dataset(tmp_path / name, texts))
        for name, texts in (("one", ["a", "b"]), ("same", ["a", "b"]), ("other", ["a", "c"]))
    )
    assert one == same != other


def test_documents_are_cut_to_the_context_and_know_their_row(
    labelled: Path, model_folder: Path, tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    dataset = load_dataset(labelled).map(lambda row: {"text": 3 * row["text"]})
    documents = list(tokenised(dataset, [1, 4], tokenizer, 2))
    assert [document.row for document in documents] == [1, 4]
    assert [tokenizer.decode(document.ids) for document in documents] == ["bb", "ee"]
    assert not adds_bos(tokenizer)


def test_a_tokenizer_that_adds_bos_does_so_within_the_context(
    labelled: Path, make_model: Callable[..., Path], tmp_path: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model(tmp_path / "model", bos=True))
    (document,) = tokenised(load_dataset(labelled).map(lambda row: {"text": 5 * row["text"]}), [2], tokenizer, 4)
    assert adds_bos(tokenizer)
    assert document.ids[0] == tokenizer.bos_token_id
    assert tokenizer.decode(document.ids[1:]) == "ccc"


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(1, 200))
def test_batches_hold_every_document_once_and_respect_the_budget(lengths: list[int], batch_tokens: int) -> None:
    batches = list(length_bucketed(lengths, batch_tokens))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * longest <= batch_tokens
    longest_of = [max(lengths[index] for index in batch) for batch in batches]
    assert longest_of == sorted(longest_of, reverse=True)
