import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.evaluations.code_entropy import SHUFFLED, Settings, bits_of, evaluate, joint_entropy, shuffled
from unweave.methods.bae.dictionary import BinaryAutoencoder

coins = st.integers(0, 999).map(lambda seed: torch.rand(400, 5, generator=torch.Generator().manual_seed(seed)) < 0.4)


@given(coins)
def test_estimates_are_ordered_joint_tree_sum(fires):
    bits = bits_of(fires)
    assert bits.joint <= bits.chow_liu + 1e-9
    assert bits.chow_liu <= bits.summed


@given(coins, st.permutations(range(5)))
def test_the_order_of_channels_does_not_matter(fires, order):
    one, other = bits_of(fires), bits_of(fires[:, order])
    assert (one.summed, one.chow_liu, one.joint) == pytest.approx((other.summed, other.chow_liu, other.joint))


@given(coins)
def test_copies_of_a_channel_add_to_the_sum_alone(fires):
    doubled = torch.cat([fires, fires], dim=1)
    one, two = bits_of(fires), bits_of(doubled)
    assert two.joint == pytest.approx(one.joint)
    assert two.chow_liu == pytest.approx(one.chow_liu)
    assert two.summed == pytest.approx(2 * one.summed)


def test_patterns_that_are_all_different_have_the_logarithm_of_their_number():
    assert joint_entropy(torch.eye(64, dtype=torch.bool)) == pytest.approx(6)
    assert joint_entropy(torch.zeros(64, 3, dtype=torch.bool)) == 0


def test_shuffling_keeps_rates_and_breaks_dependence():
    fires = (torch.arange(1000) % 2 == 0)[:, None].expand(-1, 4)
    mixed = shuffled(fires, np.random.default_rng(0))
    assert mixed.sum(dim=0).tolist() == fires.sum(dim=0).tolist()
    assert bits_of(fires).chow_liu == pytest.approx(1, abs=0.01)
    assert bits_of(mixed).chow_liu == pytest.approx(4, abs=0.05)


@pytest.fixture
def bits_of_signs():
    """Two channels per coordinate, on where it is positive: d bits of independent coordinates, each told twice."""
    d = 4
    tensors = {
        "encoder": torch.cat([torch.eye(d), torch.eye(d)]),
        "encoder_bias": torch.zeros(2 * d),
        "atoms": 0.8 * torch.cat([torch.eye(d), torch.eye(d)]),
        "decoder_bias": torch.full((d,), -0.8),
        "rates": torch.full((2 * d,), 0.5),
    }
    return BinaryAutoencoder.build(tensors, 1)


def test_the_bits_of_known_codes_are_found_with_their_interval(bits_of_signs, make_corpus, make_data, find):
    corpus = make_corpus(torch.randn(4000, 4, generator=torch.Generator().manual_seed(0)), documents=50)
    scores = evaluate(bits_of_signs, make_data({"c": corpus}), Settings(), 0)
    assert find(scores, metric="entropy_sum") == pytest.approx(8, abs=0.01)
    assert find(scores, metric="entropy_chow_liu", label="") == pytest.approx(4, abs=0.02)
    assert find(scores, metric="entropy_joint", label="") == pytest.approx(4, abs=0.02)
    assert find(scores, metric="entropy_chow_liu", label=SHUFFLED) == pytest.approx(8, abs=0.05)
    assert 0 < find(scores, metric="fvu") < 1
    (summed,) = (s for s in scores if s.metric == "entropy_sum")
    assert summed.ci_low < summed.value < summed.ci_high
