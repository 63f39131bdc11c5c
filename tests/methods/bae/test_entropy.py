import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import minimum_spanning_tree

from unweave.methods.bae.entropy import (
    channel_entropies,
    chow_liu_entropy,
    miller_madow_entropy,
    mutual_information,
    summed_entropy,
)


def bits_of(n, width, rate=0.5, seed=0):
    return (torch.rand(n, width, generator=torch.Generator().manual_seed(seed)) < rate).double()


def joint_entropy(bits):
    _, counts = bits.unique(dim=0, return_counts=True)
    p = counts / len(bits)
    return float(-(p * p.log2()).sum())


def chow_liu_of(bits):
    return chow_liu_entropy(bits.T @ bits, len(bits))


def test_fair_coins_have_one_bit_each_and_constants_none():
    assert channel_entropies(torch.tensor([0, 50, 100]), 100).tolist() == [0, 1, 0]
    assert summed_entropy(torch.tensor([0, 50, 50, 100]), 100) == 2


def test_the_correction_counts_channels_that_vary():
    counts = torch.tensor([0, 30, 50, 100])
    expected = summed_entropy(counts, 100) + 2 / (2 * 100 * math.log(2))
    assert miller_madow_entropy(counts, 100) == pytest.approx(expected)


def test_the_correction_removes_most_of_the_bias_of_small_samples():
    counts = bits_of(64, 20_000).sum(0)
    assert abs(miller_madow_entropy(counts, 64) / 20_000 - 1) < 0.1 * abs(summed_entropy(counts, 64) / 20_000 - 1)


def test_copies_and_complements_add_nothing_to_the_tree():
    # Four equal halves: exactly two independent fair coins.
    coins = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).repeat(1024, 1)
    bits = torch.cat([coins, 1 - coins, coins, torch.zeros(4096, 3), torch.ones(4096, 1)], dim=1)
    assert summed_entropy(bits.sum(0), len(bits)) == 6
    assert chow_liu_of(bits) == pytest.approx(2.0, abs=1e-9)


def test_a_chain_is_measured_exactly():
    n = 200_000
    flips = bits_of(n, 6, rate=0.1)
    flips[:, 0] = bits_of(n, 1, seed=1)[:, 0]
    bits = flips.cumsum(1) % 2
    noise = -(0.1 * math.log2(0.1) + 0.9 * math.log2(0.9))
    assert chow_liu_of(bits) == pytest.approx(1 + 5 * noise, abs=0.01)
    assert summed_entropy(bits.sum(0), n) == pytest.approx(6, abs=0.01)


@given(st.integers(2, 200), st.integers(1, 8), st.floats(0.05, 0.95), st.integers(0, 1000))
@hypothesis_settings(max_examples=60)
def test_the_tree_lies_between_the_joint_entropy_and_the_sum(n, width, rate, seed):
    bits = bits_of(n, width, rate, seed)
    bits[:, ::2] = bits[:, :1].clone()
    tree = chow_liu_of(bits)
    assert joint_entropy(bits) - 1e-6 <= tree <= summed_entropy(bits.sum(0), n) + 1e-6


def test_the_tree_is_that_of_scipy():
    bits = bits_of(300, 30, rate=0.2)
    bits[:, 10:20] = torch.where(bits_of(300, 10, seed=2) > 0, bits[:, :10], bits[:, 10:20])
    n, counts, joint = len(bits), bits.sum(0), bits.T @ bits
    information = np.stack([mutual_information(joint[i], counts, n, i).numpy() for i in range(30)])
    np.testing.assert_allclose(information, information.T, atol=1e-12)
    shared = -minimum_spanning_tree(-np.triu(information + 1e-9, 1)).sum()
    assert chow_liu_of(bits) == pytest.approx(summed_entropy(counts, n) - shared, abs=1e-6)


def test_codes_that_never_change_have_no_entropy():
    assert chow_liu_of(torch.ones(10, 4)) == 0
    assert chow_liu_of(torch.zeros(10, 4)) == 0
