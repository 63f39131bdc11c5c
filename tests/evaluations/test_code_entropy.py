import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.errors import UnweaveError
from unweave.evaluations.code_entropy import (
    SHUFFLED,
    Settings,
    bits_of,
    evaluate,
    joint_entropy,
    shuffled,
    summed_interval,
)
from unweave.evaluations.documents import Documents
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
    assert summed.ci_high - summed.ci_low < 0.1
    assert summed.higher_is_better is None


def test_the_interval_of_one_channel_is_that_of_a_proportion():
    """The slope of the entropy in bits at a rate of 0.2 is log2(4) = 2."""
    fires = (torch.arange(400) % 5 == 0)[:, None]
    low, high = summed_interval(fires, Documents.of(np.arange(400)), 0.7, 0)
    half = 1.96 * 2 * (0.2 * 0.8 / 400) ** 0.5
    assert (low, high) == (pytest.approx(0.7 - half, rel=0.02), pytest.approx(0.7 + half, rel=0.02))


def test_the_unexplained_variance_is_the_error_over_the_spread(bits_of_signs, make_corpus, make_data):
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) + 0.5
    scores = evaluate(bits_of_signs, make_data({"c": make_corpus(x, documents=50)}), Settings(tokens=200), 0)
    (fvu,) = (s for s in scores if s.metric == "fvu")
    x = x[:200].double()
    rebuilt = bits_of_signs.decode(bits_of_signs.encode(x.float())).double()
    assert fvu.value == pytest.approx(float((x - rebuilt).square().sum() / (x - x.mean(dim=0)).square().sum()))
    assert (fvu.n, fvu.higher_is_better) == (200, False)


def test_activations_that_are_all_equal_are_refused(bits_of_signs, make_corpus, make_data):
    corpus = make_corpus(torch.ones(100, 4), documents=10)
    with pytest.raises(UnweaveError, match="all activations are equal"):
        evaluate(bits_of_signs, make_data({"c": corpus}), Settings(), 0)
