import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unweave.config import SplitSettings
from unweave.datasets.splitting import held_out
from unweave.errors import UnweaveError

NAMES = ["a", "b", "c"]
sizes = st.lists(st.integers(2, 40), min_size=1, max_size=3)
settings = st.builds(SplitSettings, test_fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**31 - 1))


def shuffled_labels(counts: list[int]) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(1).permutation(labels)


@given(sizes, settings)
def test_each_class_gives_its_rounded_share_and_keeps_one_on_each_side(counts: list[int], split: SplitSettings) -> None:
    labels = shuffled_labels(counts)
    test = held_out(labels, np.arange(len(labels)), NAMES[: len(counts)], split)
    for label, count in enumerate(counts):
        taken = test[labels == label].sum()
        assert 1 <= taken <= count - 1
        assert taken == min(max(round(split.test_fraction * count), 1), count - 1)


@given(sizes, settings)
def test_a_split_depends_on_nothing_but_its_arguments(counts: list[int], split: SplitSettings) -> None:
    labels = shuffled_labels(counts)
    groups = np.arange(len(labels))
    first = held_out(labels, groups, NAMES[: len(counts)], split)
    np.testing.assert_array_equal(first, held_out(labels, groups, NAMES[: len(counts)], split))


@given(st.lists(st.integers(0, 7), min_size=2, max_size=60).filter(lambda groups: len(set(groups)) > 1), settings)
def test_no_source_document_has_pieces_in_both_splits(pieces: list[int], split: SplitSettings) -> None:
    groups = np.array(pieces)
    test = held_out(np.full(len(groups), -1), groups, [], split)
    assert not set(groups[test]) & set(groups[~test])
    assert 0 < test.sum() < len(groups)


def test_seeds_differ() -> None:
    labels = np.zeros(200, dtype=np.int64)
    first, second = (held_out(labels, np.arange(200), ["a"], SplitSettings(seed=seed)) for seed in (0, 1))
    assert (first != second).any()


def test_adding_a_class_leaves_the_others_as_they_are() -> None:
    labels = np.repeat([0, 1], 50)
    both = held_out(labels, np.arange(100), ["a", "b"], SplitSettings())
    alone = held_out(labels[:50], np.arange(50), ["a"], SplitSettings())
    np.testing.assert_array_equal(both[:50], alone)


@pytest.mark.parametrize(
    ("labels", "names", "message"),
    [
        ([0, 0, 1], ["a", "b"], "label 'b' has 1 usable documents"),
        ([0, 0], ["a", "b"], "label 'b' has 0 usable documents"),
        ([-1], [], "the source has 1 usable documents"),
    ],
)
def test_a_class_too_small_to_split_is_refused(labels: list[int], names: list[str], message: str) -> None:
    with pytest.raises(UnweaveError, match=message):
        held_out(np.array(labels), np.arange(len(labels)), names, SplitSettings())


def test_pieces_of_one_document_are_not_enough_for_a_split() -> None:
    with pytest.raises(UnweaveError, match="label 'a' has 1 usable documents"):
        held_out(np.zeros(5, dtype=np.int64), np.zeros(5, dtype=np.int64), ["a"], SplitSettings())
