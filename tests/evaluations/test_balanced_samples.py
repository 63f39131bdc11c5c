from collections import Counter

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.evaluations.balanced_samples import Draws, one_vs_rest


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(0, 99))
def test_one_vs_rest_is_balanced_without_repeats_and_even_over_the_others(others, seed):
    labels = np.array([0, 1, *others])
    indices, y = one_vs_rest(labels, 0, np.random.default_rng(seed).permutation)
    assert (labels[indices] == 0).tolist() == (y == 1).tolist()
    assert y.sum() * 2 == len(y) > 0
    assert len(set(indices.tolist())) == len(indices)
    sizes = Counter(labels[labels != 0].tolist())
    used = Counter(labels[indices][y == 0].tolist())
    most = -(-(labels == 0).sum() // len(sizes))
    assert all(used[label] <= min(most, sizes[label]) for label in sizes)


def test_a_class_has_one_sample_whatever_was_drawn_before():
    labels = np.arange(60) % 3
    draws = Draws.fixed(0)
    first = draws.test(labels, 1)
    draws.test(labels, 2)
    np.testing.assert_array_equal(draws.test(labels, 1), first)
    assert not np.array_equal(draws.train(labels, 1), first)


def test_the_stream_of_saebench_runs_on_and_begins_with_torchs_seed():
    labels = np.arange(60) % 3
    draws = Draws.saebench()
    torch.manual_seed(3)
    first, second = draws.test(labels, 1), draws.test(labels, 1)
    torch.manual_seed(3)
    np.testing.assert_array_equal(draws.train(labels, 1), first)
    assert not np.array_equal(first, second)
