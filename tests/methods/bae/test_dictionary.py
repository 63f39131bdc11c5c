import pytest
import torch

from unweave.methods.bae.dictionary import BinaryAutoencoder
from unweave.methods.bae.measure import channel_rates, measured


def known(rates=(0.25, 0.5, 0.9), bits=1):
    return BinaryAutoencoder.build(
        {
            "encoder": torch.eye(3),
            "encoder_bias": torch.tensor([0.0, -1.0, 1.0]),
            "atoms": 2 * torch.eye(3),
            "decoder_bias": torch.ones(3),
            "rates": torch.tensor(rates),
        },
        bits,
    )


def test_codes_are_bits_and_decode_to_sums_of_atoms():
    dictionary = known()
    codes = dictionary.encode(torch.tensor([[1.0, 0.5, -2.0], [-1.0, 3.0, 0.0]]))
    assert codes.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert dictionary.decode(codes).tolist() == [[3, 1, 1], [1, 3, 3]]


def test_the_strength_is_the_burstiness_of_a_bit():
    strengths = known().strengths(torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    expected = torch.tensor([[-0.415, -1.0, -3.322], [-2.0, -1.0, -0.152]])
    torch.testing.assert_close(strengths, expected, rtol=0, atol=1e-3)


def test_the_rarer_bit_is_the_stronger_one():
    strengths = known().strengths(torch.tensor([[1.0, 1.0, 0.0]]))
    assert strengths[0].argsort(descending=True).tolist() == [2, 0, 1]


def test_a_channel_that_never_changes_has_a_finite_strength():
    strengths = known(rates=(0.0, 1.0, 0.5)).strengths(torch.tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))
    assert strengths.isfinite().all()
    assert float(strengths.min()) == pytest.approx(-19.93, abs=0.01)


def test_strengths_of_more_bits_are_those_of_the_bit(in_memory):
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    one, four = known(), known(bits=4)
    assert not torch.equal(one.encode(x), four.encode(x))
    assert torch.equal(one.strengths(one.encode(x)), four.strengths(four.encode(x)))
    assert one.traits.binary
    assert not four.traits.binary


def test_the_facts_of_known_codes(in_memory, cpu):
    x = torch.tensor([[1.0, 2.0, 0.0], [1.0, -2.0, 0.0], [-1.0, 2.0, 0.0], [-1.0, -2.0, 0.0]]).repeat(8, 1)
    dictionary = known()
    facts = measured(dictionary, in_memory(x), 16, cpu)
    assert facts["entropy"] == facts["entropy_batch_mean"] == 2
    assert facts["entropy_chow_liu"] == pytest.approx(2, abs=1e-9)
    assert facts["entropy_miller_madow"] > 2
    assert facts["covariance"] == 0
    assert facts["l0"] == 2
    assert facts["l0_rare"] == 1
    assert facts["rate"] == 2
    assert facts["constant_channels"] == 1
    assert facts["dense_channels"] == 1
    decoded = dictionary.decode(dictionary.encode(x))
    expected = float((decoded - x).square().sum() / (x - x.mean(0)).square().sum())
    assert facts["fvu"] == pytest.approx(expected)
    assert channel_rates(dictionary, in_memory(x), 16, cpu).tolist() == [0.5, 0.5, 1.0]


def test_more_bits_cost_their_rate(in_memory, cpu):
    x = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    one, four = (measured(known(bits=bits), in_memory(x), 16, cpu) for bits in (1, 4))
    assert one["entropy"] == four["entropy"]
    assert four["rate"] == pytest.approx(four["entropy"] + 3 * four["l0"])


def test_facts_do_not_depend_on_a_mean_far_from_zero(in_memory, cpu):
    x = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    there = measured(known(), in_memory(x), 16, cpu)["fvu"]
    dictionary = known()
    dictionary.tensors["encoder_bias"] -= 1000
    dictionary.tensors["decoder_bias"] += 1000
    assert measured(dictionary, in_memory(x + 1000), 16, cpu)["fvu"] == pytest.approx(there, rel=1e-2)
