import pytest
import torch

from unweave.methods.bae.refit import ridge_decoder


def planted(n=4000, width=12, d=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = (torch.rand(n, width, generator=generator) < 0.3).float()
    atoms, bias = torch.randn(width, d, generator=generator), torch.randn(d, generator=generator) * 10
    return codes, atoms, bias


def in_blocks(codes, x, size=700):
    return zip(codes.split(size), x.split(size), strict=True)


def test_the_decoder_of_exact_codes_is_recovered():
    codes, atoms, bias = planted()
    found, found_bias = ridge_decoder(in_blocks(codes, codes @ atoms + bias), 1e-9)
    torch.testing.assert_close(found, atoms, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found_bias, bias, rtol=1e-4, atol=1e-4)


def test_no_decoder_has_a_smaller_error():
    codes, atoms, bias = planted()
    x = codes @ atoms + bias + torch.randn(len(codes), 5, generator=torch.Generator().manual_seed(1))
    found, found_bias = ridge_decoder(in_blocks(codes, x), 1e-8)
    expected = torch.linalg.lstsq(torch.cat([codes, torch.ones(len(codes), 1)], dim=1).double(), x.double()).solution
    torch.testing.assert_close(found.double(), expected[:-1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found_bias.double(), expected[-1], rtol=1e-4, atol=1e-4)


def test_copies_share_an_atom_and_constant_channels_have_none():
    codes, atoms, bias = planted(width=3)
    repeated = torch.cat([codes, codes[:, :1], torch.zeros(len(codes), 1), torch.ones(len(codes), 1)], dim=1)
    found, found_bias = ridge_decoder(in_blocks(repeated, codes @ atoms + bias), 1e-3)
    torch.testing.assert_close(found[0], found[3], rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(found[0] + found[3], atoms[0], rtol=1e-2, atol=1e-2)
    assert torch.equal(found[4:], torch.zeros(2, 5))
    torch.testing.assert_close(found_bias, bias, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_codes_that_never_change_are_decoded_to_the_mean(value):
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    atoms, bias = ridge_decoder([(torch.full((100, 4), value), x)], 1e-3)
    torch.testing.assert_close(torch.full((1, 4), value) @ atoms + bias, x.mean(0, keepdim=True))
