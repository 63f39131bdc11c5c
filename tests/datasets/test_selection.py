from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.datasets.document import Document
from unweave.datasets.selection import UNLABELLED, normalised, select
from unweave.errors import UnweaveError

LABELS = ["cat", "dog"]
variants = st.sampled_from([str.upper, str.lower, lambda text: f"  {text}\t", lambda text: text.replace(" ", "  \n")])
texts = st.tuples(st.sampled_from(["", " ", "x", "a cat", "a dog", "some bird", "große maus"]), variants).map(
    lambda pair: pair[1](pair[0])
)
documents = st.lists(st.tuples(texts, st.sampled_from(LABELS)), max_size=30).map(
    lambda pairs: [Document(text, label, str(i)) for i, (text, label) in enumerate(pairs)]
)


def kept_by_definition(sources: list[Document], min_characters: int) -> list[Document]:
    usable = [document for document in sources if len(document.text.strip()) >= min_characters]
    labels_of = {
        key: {document.label for document in usable if normalised(document.text) == key}
        for key in {normalised(document.text) for document in usable}
    }
    seen: set[str] = set()
    kept = []
    for document in usable:
        key = normalised(document.text)
        if len(labels_of[key]) == 1 and key not in seen:
            seen.add(key)
            kept.append(document)
    return kept


@given(documents, st.integers(1, 6))
def test_the_first_of_equal_texts_is_kept_unless_labels_disagree(sources: list[Document], least: int) -> None:
    expected = kept_by_definition(sources, least)
    if not expected:
        with pytest.raises(UnweaveError, match="no document is left"):
            select(sources, LABELS, least)
        return
    selection = select(iter(sources), LABELS, least)
    assert selection.texts == [document.text.strip() for document in expected]
    assert [LABELS[label] for label in selection.labels] == [document.label for document in expected]
    assert selection.source_ids == [document.source_id for document in expected]


@given(documents, st.integers(1, 6))
def test_every_document_is_kept_or_counted_once(sources: list[Document], least: int) -> None:
    try:
        selection = select(sources, LABELS, least)
    except UnweaveError:
        return
    assert len(selection.texts) + sum(selection.dropped.as_dict().values()) == len(sources)
    assert selection.dropped.empty == sum(not document.text.strip() for document in sources)


def test_all_occurrences_of_a_text_under_two_labels_are_dropped_and_counted() -> None:
    found = ["A cat", "a  CAT", "a cat", "one dog", "One Dog", "bird"]
    labels = ["cat", "dog", "cat", "dog", "dog", "cat"]
    sources = [Document(text, label, "0") for text, label in zip(found, labels, strict=True)]
    selection = select(sources, LABELS, 1)
    assert selection.texts == ["one dog", "bird"]
    assert selection.dropped.as_dict() == {"empty": 0, "short": 0, "duplicate": 1, "contradictory": 3}


def test_labels_are_names_or_indices() -> None:
    selection = select([Document("a", 1, "0"), Document("b", "cat", "1")], LABELS, 1)
    assert selection.labels.tolist() == [1, 0]


def test_text_is_unlabelled_where_the_registry_names_no_classes() -> None:
    selection = select([Document("a", 7, "0"), Document("A", None, "1"), Document("b", None, "2")], [], 1)
    assert selection.labels.tolist() == [UNLABELLED] * 2


def test_pieces_of_one_source_document_share_a_group() -> None:
    pieces = [Document(f"text {i}", None, str(i), group) for i, group in enumerate(["x", "x", "y", None, "x"])]
    groups = select(pieces, [], 1).groups
    for i, j in product(range(5), repeat=2):
        assert (groups[i] == groups[j]) == (i == j or {i, j} <= {0, 1, 4})
    assert groups.dtype == np.int64


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "has none"),
        ("bird", "'bird' of document 5 is missing; listed: cat, dog"),
        (2, "2 of"),
        (-1, "-1 of"),
        (True, "True of"),
        (1.0, r"1\.0 of"),
    ],
)
def test_a_label_that_is_not_listed_is_refused(label: object, message: str) -> None:
    with pytest.raises(UnweaveError, match=message):
        select([Document("text", label, "5")], LABELS, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", [5, 0, ["a"], b"bytes", None])
def test_what_is_no_text_is_refused(text: object) -> None:
    with pytest.raises(UnweaveError, match=r"document 5 is of type (int|list|bytes|NoneType), not text"):
        select([Document(text, None, "5")], [], 1)  # type: ignore[arg-type]


def test_a_class_listed_twice_is_refused() -> None:
    with pytest.raises(UnweaveError, match="listed twice"):
        select([Document("text", 0, "5")], ["cat", "cat"], 1)


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(UnweaveError, match="document 3 is not valid Unicode"):
        select([Document("half \ud83d", None, "3")], [], 1)
