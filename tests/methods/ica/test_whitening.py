import numpy as np
import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.activations.source import Statistics
from unweave.errors import UnweaveError
from unweave.methods.ica.preparation import prepare
from unweave.methods.ica.whitening import WhitenedRows, whitening


def whitened(activations, cpu, *, preprocessing="raw", n_components=None, memory_gb=1.0, dtype=torch.float32):
    preparation = prepare(activations, preprocessing, cpu)
    fitted = whitening(preparation.statistics, n_components, cpu)
    return WhitenedRows(activations, fitted, preparation, memory_gb=memory_gb, device=cpu, dtype=dtype)


class CountedReads(InMemoryActivations):
    """Activations that count how often they are read."""

    reads = 0

    def slices(self, ranges):
        self.reads += 1
        return super().slices(ranges)


@pytest.mark.parametrize("preprocessing", ["raw", "row_norm", "geometric_median"])
def test_whitened_rows_have_zero_mean_and_unit_covariance(planted, cpu, preprocessing):
    z = torch.cat(list(whitened(planted.activations, cpu, preprocessing=preprocessing).blocks())).double()
    torch.testing.assert_close(z.mean(0), torch.zeros(6, dtype=torch.float64), atol=1e-3, rtol=0)
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(6, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_streamed_and_resident_rows_are_the_same(planted, cpu, dtype):
    resident, streamed = CountedReads(planted.x), CountedReads(planted.x)
    kept = whitened(resident, cpu, dtype=dtype)
    read = whitened(streamed, cpu, memory_gb=0, dtype=dtype)
    for _ in range(3):
        assert torch.equal(torch.cat(list(kept.blocks())), torch.cat(list(read.blocks())))
    assert (resident.reads, streamed.reads) == (1, 3)
    assert torch.equal(kept.sample(1000, 4, seed=3), read.sample(1000, 4, seed=3))


def test_a_subsample_is_whole_blocks_in_stored_order_that_the_seed_draws(planted, cpu):
    rows = whitened(planted.activations, cpu)
    every = torch.cat(list(rows.blocks()))
    one, same, other = (rows.sample(1000, 6, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert len(one) == 1024
    first = (every == one[0]).all(dim=1).nonzero().item()
    assert first % 256 == 0
    assert torch.equal(every[first : first + 256], one[:256])


def test_leading_components_are_the_first_columns(planted, cpu):
    rows = whitened(planted.activations, cpu)
    every = torch.cat(list(rows.blocks()))
    assert torch.equal(torch.cat(list(rows.blocks(4))), every[:, :4])


def test_the_inverse_undoes_the_whitening(planted, cpu):
    fitted = whitening(planted.activations.statistics(row_norm=False), 4, cpu)
    torch.testing.assert_close(fitted.matrix @ fitted.inverse, torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(fitted.inverse, torch.linalg.pinv(fitted.matrix))


def test_components_of_largest_variance_are_kept(planted, cpu):
    statistics = planted.activations.statistics(row_norm=False)
    kept = whitening(statistics, 2, cpu).inverse.square().sum(0)
    eigenvalues = torch.linalg.eigvalsh(torch.from_numpy(statistics.covariance)).flip(0)
    torch.testing.assert_close(kept, eigenvalues[:2])


def test_rows_that_span_too_few_directions_are_refused_with_the_number_they_span(in_memory, cpu):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=generator) @ torch.randn(3, 8, generator=generator)
    with pytest.raises(UnweaveError, match="set n_components to 3 at most"):
        whitening(in_memory(x).statistics(row_norm=False), None, cpu)
    assert whitening(in_memory(x).statistics(row_norm=False), 3, cpu).matrix.shape == (3, 8)


def test_too_few_rows_are_refused_with_the_number_needed(in_memory, cpu):
    x = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(UnweaveError, match="use at least 9 tokens"):
        whitening(in_memory(x).statistics(row_norm=False), None, cpu)


def test_the_number_of_rows_bounds_the_rank_even_if_rounding_hides_it(cpu):
    statistics = Statistics(n=5, mean=np.zeros(8), covariance=np.eye(8), mean_norm=1.0)
    with pytest.raises(UnweaveError, match="span only 4 directions"):
        whitening(statistics, None, cpu)


def test_more_components_than_dimensions_are_refused(planted, cpu):
    with pytest.raises(UnweaveError, match="set n_components to 6 at most"):
        whitening(planted.activations.statistics(row_norm=False), 7, cpu)


def test_rows_that_are_not_finite_are_refused(planted, in_memory, cpu):
    x = planted.x.clone()
    x[5, 2] = torch.nan
    with pytest.raises(UnweaveError, match="NaN or infinite"):
        whitening(in_memory(x).statistics(row_norm=False), None, cpu)
