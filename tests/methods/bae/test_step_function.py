import pytest
import torch

from unweave.methods.bae.step_function import SURROGATES, codes, levels


@pytest.mark.parametrize(("g", "expected"), [(0.1, 0.09), (2.0, -2.0), (-0.5, -0.75)])
def test_the_released_gradient_is_a_function_of_the_incoming_gradient(g, expected):
    x = torch.tensor([-3.0, 0.0, 5.0])
    torch.testing.assert_close(SURROGATES["released"](torch.full((3,), g), x), torch.full((3,), expected))


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("ste", 3.0, 2.0),
        ("literal", 0.5, 0.5),
        ("literal", -1.0, -4.0),
        ("literal", 2.0, -4.0),
        ("sigmoid", 0.0, 0.5),
        ("sigmoid", 1.0, 2 * 0.19661193),
        ("clip", 1.0, 2.0),
        ("clip", -1.5, 0.0),
        ("tanh", 0.0, 2.0),
        ("tanh", 1.0, 2 * 0.41997434),
    ],
)
def test_a_stand_in_multiplies_the_incoming_gradient(name, x, expected):
    assert float(SURROGATES[name](torch.tensor([2.0]), torch.tensor([x]))) == pytest.approx(expected)


def test_a_pre_activation_of_zero_is_off():
    assert codes(torch.tensor([-1.0, 0.0, 1e-30, 2.0]), 1).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_codes_of_more_bits_are_active_where_the_bit_is_on(bits):
    x = torch.randn(5000, generator=torch.Generator().manual_seed(0)) * 4
    assert torch.equal(codes(x, bits) > 0, codes(x, 1) > 0)
    assert len(codes(x, bits).unique()) <= 1 + 2 ** (bits - 1)


def test_one_bit_codes_are_the_levels_of_one_bit():
    x = torch.linspace(0.01, 5, 50)
    assert torch.equal(codes(x, 1), levels(x, 1))


def test_more_bits_come_closer_to_the_sigmoid():
    x = torch.linspace(0.01, 5, 500)
    errors = [float((levels(x, bits) - x.sigmoid()).abs().max()) for bits in (2, 4, 8, 16)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-5
