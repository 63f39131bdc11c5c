import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from unweave.evaluations.linear_probes import L1_PENALTY, Probes, train_probe, train_probe_saebench


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 6))
    y = (x[:, 0] + 0.3 * rng.standard_normal(300) > 0).astype(np.int64)
    return x, y


def objective(probe, x, y):
    logits = torch.from_numpy(probe.logits(x)[:, 0])
    return float(binary_cross_entropy_with_logits(logits, torch.from_numpy(y).double())) + L1_PENALTY * float(
        np.abs(probe.weights).sum()
    )


def test_a_probe_is_the_minimum_of_the_objective(texts):
    x, y = texts
    probe = train_probe(x, y)
    reached = objective(probe, x, y)
    rng = np.random.default_rng(1)
    for _ in range(20):
        other = Probes(probe.weights + 0.05 * rng.standard_normal((1, 6)), probe.biases)
        assert objective(other, x, y) > reached


def test_the_training_of_saebench_goes_towards_the_same_objective_and_stops_before_its_minimum(texts):
    x, y = texts
    torch.manual_seed(0)
    published = train_probe_saebench(x, y, x, y)
    nothing = Probes(np.zeros((1, 6)), np.zeros(1))
    assert objective(train_probe(x, y), x, y) < objective(published, x, y) < objective(nothing, x, y)


def test_probes_of_several_classes_are_read_together(texts):
    x, y = texts
    first, second = train_probe(x, y), train_probe(x, 1 - y)
    stacked = Probes.stacked([first, second]).logits(x)
    np.testing.assert_allclose(stacked[:, :1], first.logits(x))
    np.testing.assert_allclose(stacked[:, 1:], second.logits(x))
