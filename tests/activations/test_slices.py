"""Reading any ranges of rows, from a file and from memory."""

from itertools import repeat

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.memory import InMemoryActivations
from unweave.activations.source import Activations
from unweave.activations.store import StoredActivations, StoredTokens
from unweave.activations.writer import write_store

N, D = 700, 5
X = torch.randn(N, D, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
Ranges = list[tuple[int, int]]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredActivations:
    path = tmp_path_factory.mktemp("slices") / "resid.h5"
    places = np.arange(N, dtype=np.int32)
    write_store(path, {"layers": [2]}, StoredTokens(places, places, places), D, torch.bfloat16, {2: iter([X])})
    return StoredActivations(path, 2)


@pytest.fixture(scope="module", params=["stored", "in_memory"])
def activations(request: pytest.FixtureRequest, stored: StoredActivations) -> Activations:
    return stored if request.param == "stored" else InMemoryActivations(X)


ranges = st.lists(st.tuples(st.integers(0, N), st.integers(0, N)).map(lambda pair: (min(pair), max(pair))), max_size=8)


@given(ranges=ranges)
def test_any_ranges_come_back_in_the_order_in_which_they_were_asked_for(
    activations: Activations, ranges: Ranges
) -> None:
    rows = activations.rows()
    found = list(activations.slices(ranges))
    assert [len(block) for block in found] == [stop - start for start, stop in ranges]
    for (start, stop), block in zip(ranges, found, strict=True):
        assert block.dtype == torch.float32
        assert torch.equal(block, rows[start:stop])


@pytest.mark.parametrize(
    "ranges",
    [
        [(0, N)],
        [(600, 700), (0, 100)],
        [(10, 20), (10, 20), (15, 30)],
        [(255, 257)],
        [(5, 5)],
        [(N - 1, N), (0, 1)],
    ],
    ids=["whole", "backwards", "overlapping", "across two chunks of the file", "empty", "single rows"],
)
def test_ranges_of_special_kinds(activations: Activations, ranges: Ranges) -> None:
    expected = [X.float()[start:stop] for start, stop in ranges]
    assert all(torch.equal(one, other) for one, other in zip(activations.slices(ranges), expected, strict=True))


def test_ranges_are_read_one_after_another_as_they_are_needed(stored: StoredActivations) -> None:
    slices = stored.slices(repeat((3, 6)))
    assert torch.equal(next(slices), next(slices))
