import torch

from unweave.methods.sasa.layer_norm import prepared, standardised


def test_rows_have_mean_zero_and_unit_deviation_whatever_their_scale():
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(0)) * torch.logspace(-1, 4, 20)[:, None] + 3
    rows = standardised(x)
    torch.testing.assert_close(rows.x.mean(1), torch.zeros(20), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows.x.std(1), torch.ones(20), rtol=1e-3, atol=0)


def test_standardising_is_undone_to_a_share_of_one_in_a_hundred_thousand_of_the_deviation():
    x = torch.randn(20, 8, generator=torch.Generator().manual_seed(1)) * 7 + 3
    rows = standardised(x)
    torch.testing.assert_close(rows.restored(rows.x), x, rtol=0, atol=1e-3)


def test_a_row_of_equal_coordinates_becomes_zero_and_comes_back():
    rows = standardised(torch.full((1, 5), 2.0))
    assert torch.equal(rows.x, torch.zeros(1, 5))
    assert torch.equal(rows.restored(rows.x), torch.full((1, 5), 2.0))


def test_without_layer_norm_rows_stay_as_they_are():
    x = torch.randn(4, 3)
    rows = prepared(x, layer_norm=False)
    assert rows.x is x
    assert torch.equal(rows.restored(x), x)
