import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.evaluations.sparse_codes import sparse_reconstructions, sparsities
from unweave.methods.linear import LinearDictionary


@given(st.lists(st.integers(0, 50)), st.integers(1, 30))
def test_sparsities_rise_to_the_number_of_features(ks, features):
    chosen = sparsities(ks, features)
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == features
    assert set(chosen) <= {*ks, features}


def test_codes_are_ranked_by_the_size_of_what_they_write():
    dictionary = LinearDictionary.build(
        torch.zeros(2), torch.eye(2), torch.diag(torch.tensor([1.0, 10.0])), row_norm=False
    )
    ((kept, y),) = sparse_reconstructions(dictionary, torch.tensor([[3.0, 1.0]]), [1])
    assert kept.tolist() == [[0, 1]]
    assert y.tolist() == [[0, 10]]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_reconstructions_of_normalised_rows_keep_the_norm_of_the_row(k, make_dictionary):
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0)) * 7
    ((_, y),) = sparse_reconstructions(make_dictionary(4, row_norm=True), x, [k])
    torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1))
