import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.memory import InMemoryActivations

X = torch.randn(25, 3, generator=torch.Generator().manual_seed(0))
SEVERAL_BLOCKS = torch.arange(20_000.0)[:, None]


def test_blocks_are_consecutive_float32_rows() -> None:
    activations = InMemoryActivations(X.double())
    blocks = list(activations.blocks(10))
    assert [len(block) for block in blocks] == [10, 10, 5]
    assert torch.equal(torch.cat(blocks), X)
    assert torch.equal(activations.rows(), X)
    assert (activations.n, activations.d) == (25, 3)


def test_statistics_are_those_of_the_rows() -> None:
    found = InMemoryActivations(X).statistics(row_norm=False)
    np.testing.assert_allclose(found.covariance, np.cov(X.numpy().T.astype(np.float64), ddof=0), atol=1e-6)
    assert found.n == 25


@given(rows=st.lists(st.integers(0, 19_999), max_size=40))
def test_rows_are_taken_in_the_order_asked_for(rows: list[int]) -> None:
    wanted = np.array(rows, dtype=np.int64)
    assert torch.equal(InMemoryActivations(SEVERAL_BLOCKS).taken(wanted), SEVERAL_BLOCKS[torch.from_numpy(wanted)])


def test_a_tensor_that_needs_gradients_is_read_without_them() -> None:
    assert not InMemoryActivations(X.clone().requires_grad_()).rows().requires_grad
