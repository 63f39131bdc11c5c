"""Text that nobody meant to be read: prepared and harvested with every row sound, or refused in one line."""

import json
import runpy
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unweave.activations.harvest import harvest
from unweave.activations.store import StoredActivations, read_tokens
from unweave.config import PROJECT, CorpusSettings, DatasetEntry, HarvestSettings
from unweave.datasets.prepare import prepare_dataset
from unweave.datasets.stored import load_dataset
from unweave.errors import UnweaveError
from unweave.models.language_model import load_tokenizer

CORPUS = CorpusSettings(dataset="hostile", split="all", context=32)
SETTINGS = HarvestSettings(layers=[1], compute_dtype="float32", store_dtype="float32")
ORDINARY = ["an ordinary sentence", "another one of them", "and a third line", "the fourth is the last"]
HOSTILE = {
    "control characters": ["\x01\x02\x07 bell", "\x1b[31mred\x1b[0m", "a\x00b", "\x7f\x80\x9f"],
    "right to left": ["\u202eesrever\u202c", "שלום עולם", "مرحبا بالعالم", "\u2067mixed abc\u2069"],
    "emoji": ["😀😀😀", "👩‍👩‍👧‍👦 family", "🏳️‍🌈", "e\u0301" * 30],
    "stacked marks": ["Z" + "\u0335\u0336\u0337" * 200, "\ufdfd" * 40, "\u200b\u200d\ufeff", "\ue000\uffff"],
    "a line of a megabyte": ["x" * 1_000_000],
    "special tokens": ["<bos><bos>", "<|endoftext|><|im_start|>", "<s></s><unk>", "[MASK]"],
    "line ends of all kinds": ["one\u2028two\u2029three", "four\x0bfive\x0csix", "seven\x85eight", "\ttab\t"],
}


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A random Llama whose tokens are single bytes."""
    parts = runpy.run_path(str(PROJECT / "tests" / "activations" / "conftest.py"))
    return parts["save_model"](tmp_path_factory.mktemp("model"))


def prepared(folder, texts):
    """The texts as a data set, read from JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "texts.jsonl"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    entry = DatasetEntry.model_validate(
        {
            "title": "Hostile",
            "source": {"type": "local", "path": str(source)},
            "reader": "table",
            "options": {"text": "text"},
            "licence": "none",
        }
    )
    prepare_dataset("hostile", entry, None, folder / "text")
    return folder / "text"


def harvested(folder, model_folder, dataset_folder):
    """Path of the activation file of the data set."""
    path = folder / "resid.h5"
    harvest(model_folder, dataset_folder, CORPUS, SETTINGS, {"resid": path}, torch.device("cpu"), {})
    return path


def assert_sound(path, texts, model_folder):
    """Every row is finite and stands for a token of the document that it names, at the place that it names."""
    tokenizer = load_tokenizer(model_folder)
    tokens = read_tokens(path)
    rows = StoredActivations(path, 1).rows()
    assert rows.isfinite().all()
    assert len(rows) == len(tokens.ids) > 0
    for document, text in enumerate(texts):
        # Cut first: a token is a byte or a special token, so nothing after these characters is among the first tokens.
        expected = tokenizer(text[:1000]).input_ids[: CORPUS.context]
        mine = tokens.docs == document
        assert tokens.ids[mine].tolist() == expected[1:]
        assert tokens.positions[mine].tolist() == list(range(1, len(expected)))


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_stored_as_it_is_and_harvested_soundly(kind, model_folder, tmp_path):
    folder = prepared(tmp_path, HOSTILE[kind] + ORDINARY)
    texts = list(load_dataset(folder)["text"])
    assert {text.strip() for text in HOSTILE[kind] if text.strip()} <= set(texts)
    assert_sound(harvested(tmp_path, model_folder, folder), texts, model_folder)


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=12))
def test_any_text_is_harvested_soundly_or_refused(texts, model_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    try:
        dataset = prepared(folder, texts)
        path = harvested(folder, model_folder, dataset)
    except UnweaveError as error:
        refusal = str(error)
    else:
        assert_sound(path, list(load_dataset(dataset)["text"]), model_folder)
        return
    assert refusal.isprintable()


@pytest.mark.parametrize("texts", [[], [""], ["   ", "\n"], ["one document alone"]])
def test_too_little_text_is_refused_before_anything_is_written(texts, tmp_path):
    with pytest.raises(UnweaveError, match=r"datasets.yaml: hostile: "):
        prepared(tmp_path, texts)
    assert [path.name for path in tmp_path.iterdir()] == ["texts.jsonl"]


def test_documents_of_one_token_leave_nothing_to_store_and_say_so(model_folder, tmp_path):
    folder = prepared(tmp_path, list("abcdef"))
    with pytest.raises(UnweaveError, match=r"hostile: no document is longer than the 1 dropped positions"):
        harvested(tmp_path, model_folder, folder)
    assert not (tmp_path / "resid.h5").exists()


def test_half_a_surrogate_pair_is_refused_or_replaced_but_never_raises_anything_else(tmp_path):
    with suppress(UnweaveError):
        assert len(load_dataset(prepared(tmp_path, ["broken \ud800 half", *ORDINARY]))) == 1 + len(ORDINARY)


def test_a_table_that_is_no_utf8_is_refused(tmp_path):
    prepared(tmp_path, ORDINARY)
    (tmp_path / "texts.jsonl").write_bytes(b'{"text": "\xff\xfe"}\n')
    entry = {
        "title": "Hostile",
        "source": {"type": "local", "path": str(tmp_path / "texts.jsonl")},
        "reader": "table",
        "options": {"text": "text"},
        "licence": "none",
    }
    with pytest.raises(UnweaveError, match=r"texts.jsonl: not a readable table after row 0"):
        prepare_dataset("hostile", DatasetEntry.model_validate(entry), None, tmp_path / "other")
