from itertools import islice

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from unweave.activations import batches as batches_module
from unweave.activations.batches import Batches
from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError

CPU = torch.device("cpu")
STREAMED, RESIDENT = 0.0, 4.0


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch):
    monkeypatch.setattr(batches_module, "CHUNK_ROWS", 8)
    monkeypatch.setattr(batches_module, "POOL_CHUNKS", 3)


def numbered(n, d=3):
    """Rows whose first coordinate is their number."""
    rows = torch.zeros(n, d)
    rows[:, 0] = torch.arange(n)
    return InMemoryActivations(rows)


def batches(n=101, size=10, seed=0, memory_gb=STREAMED, targets=None):
    return Batches(numbered(n), size, seed, CPU, memory_gb, targets)


def numbers(made, count, start=0):
    return torch.stack([batch.x[:, 0] for batch in islice(made.starting_at(start), count)]).long()


@pytest.mark.parametrize("memory_gb", [STREAMED, RESIDENT], ids=["streamed", "resident"])
class TestBothWays:
    def test_every_row_is_shown_at_most_once_per_epoch_and_none_is_invented(self, memory_gb):
        made = batches(memory_gb=memory_gb)
        assert made.per_epoch == 10
        for epoch in range(3):
            shown = numbers(made, 10, 10 * epoch).flatten()
            assert len(shown.unique()) == 100
            assert shown.min() >= 0
            assert shown.max() <= 100

    def test_every_row_is_shown_where_batches_fill_an_epoch(self, memory_gb):
        shown = numbers(batches(n=120, memory_gb=memory_gb), 12).flatten()
        assert torch.equal(shown.sort().values, torch.arange(120))

    def test_epochs_and_seeds_have_orders_of_their_own(self, memory_gb):
        one, other = batches(memory_gb=memory_gb), batches(seed=1, memory_gb=memory_gb)
        assert not torch.equal(numbers(one, 10), numbers(one, 10, 10))
        assert not torch.equal(numbers(one, 10), numbers(other, 10))

    def test_the_same_seed_gives_the_same_batches(self, memory_gb):
        assert torch.equal(numbers(batches(memory_gb=memory_gb), 25), numbers(batches(memory_gb=memory_gb), 25))

    @pytest.mark.parametrize("start", [1, 4, 9, 10, 13, 27])
    def test_batches_from_a_step_on_are_the_tail_of_all_batches(self, memory_gb, start):
        made = batches(memory_gb=memory_gb)
        assert torch.equal(numbers(made, 35)[start:], numbers(batches(memory_gb=memory_gb), 35 - start, start))

    def test_targets_stay_with_their_rows(self, memory_gb):
        rows = numbered(101).rows()
        made = batches(memory_gb=memory_gb, targets=InMemoryActivations(torch.cat([rows, -rows], dim=1)))
        for batch in islice(made.starting_at(0), 25):
            assert torch.equal(batch.target[:, 0], batch.x[:, 0])
            assert torch.equal(batch.target[:, 3], -batch.x[:, 0])

    def test_without_targets_what_is_read_is_rebuilt(self, memory_gb):
        batch = next(batches(memory_gb=memory_gb).starting_at(0))
        assert batch.target is batch.x

    def test_a_batch_is_not_overwritten_by_later_ones(self, memory_gb):
        made = batches(memory_gb=memory_gb).starting_at(0)
        first = next(made).x
        kept = first.clone()
        for _ in islice(made, 30):
            pass
        assert torch.equal(first, kept)

    def test_two_readers_do_not_disturb_each_other(self, memory_gb):
        made = batches(memory_gb=memory_gb)
        expected = numbers(made, 20)
        pairs = zip(islice(made.starting_at(0), 20), islice(made.starting_at(7), 20), strict=True)
        assert torch.equal(torch.stack([one.x[:, 0] for one, _ in pairs]).long(), expected)

    def test_fewer_rows_than_a_batch_are_an_error(self, memory_gb):
        with pytest.raises(UnweaveError, match="batches of 10 rows need more than the 9 tokens"):
            batches(n=9, memory_gb=memory_gb)

    def test_a_batch_of_all_rows_is_a_permutation_of_them(self, memory_gb):
        shown = numbers(batches(n=50, size=50, memory_gb=memory_gb), 1)[0]
        assert torch.equal(shown.sort().values, torch.arange(50))


@hypothesis_settings(max_examples=40)
@given(st.integers(1, 130), st.integers(1, 40), st.integers(0, 12), st.integers(0, 99))
def test_streams_of_any_size_keep_their_promises(n, size, start, seed):
    if n < size:
        return
    made = batches(n, size, seed)
    everything = numbers(made, 2 * made.per_epoch)
    for epoch in everything.split(made.per_epoch):
        assert len(epoch.unique()) == epoch.numel()
    start = min(start, len(everything) - 1)
    assert torch.equal(numbers(made, len(everything) - start, start), everything[start:])


def test_rows_are_kept_where_they_fit_and_read_in_chunks_where_they_do_not():
    assert batches(memory_gb=1e-3).resident
    assert not batches(memory_gb=1e-9).resident
    assert not Batches(numbered(101), 10, 0, CPU, 1.5e-6, numbered(101)).resident
