import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.evaluations.decoder_redundancy import Settings, clusters, dimensions, evaluate, redundancies
from unweave.methods.dictionary import Traits
from unweave.methods.linear import LinearDictionary
from unweave.methods.sasa.dictionary import SubspaceDictionary

D = 40


def of_atoms(atoms, *, signed=False):
    tensors = {"center": torch.zeros(D), "readers": atoms, "atoms": atoms}
    return LinearDictionary(tensors, Traits(signed=signed, linear=True))


def circles(count=8, on_each=12, seed=0):
    """Atoms spread over circles in planes of their own."""
    planes = torch.linalg.qr(torch.randn(D, 2 * count, generator=torch.Generator().manual_seed(seed)))[0].T
    theta = torch.linspace(0, torch.pi / 2, on_each)
    points = torch.stack([theta.cos(), theta.sin()], dim=1)
    return torch.cat([points @ planes[2 * i : 2 * i + 2] for i in range(count)])


def test_atoms_that_share_planes_are_redundant_and_random_ones_are_not(make_data, find):
    scores = evaluate(of_atoms(circles()), make_data({}), Settings(cluster_size=12), 0)
    assert find(scores, metric="redundancy", label="") > 5
    assert find(scores, metric="redundant_clusters", label="") == 1
    assert find(scores, metric="redundancy", label="random directions") < 3


def test_clusters_are_the_planes():
    labels = clusters(circles(), 12, signed=False)
    assert all(len(set(labels[start : start + 12].tolist())) == 1 for start in range(0, 96, 12))


@given(st.integers(0, 30))
def test_scale_and_order_of_atoms_do_not_matter_nor_signs_of_signed_codes(seed):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.randn(30, D, generator=generator)
    changed = atoms * torch.rand(30, 1, generator=generator).add(0.1)
    changed = changed * (torch.randint(0, 2, (30, 1), generator=generator) * 2 - 1)
    order = torch.randperm(30, generator=generator)
    one, _ = redundancies(atoms, clusters(atoms, 6, signed=True))
    other, _ = redundancies(changed[order], clusters(changed[order], 6, signed=True))
    np.testing.assert_allclose(np.sort(one), np.sort(other))


def test_dimensions_hold_four_fifths_of_the_length():
    assert dimensions(torch.eye(5)) == 4
    assert dimensions(torch.ones(7, 3)) == 1


def test_groups_are_measured_as_they_are(make_data, find):
    basis = torch.linalg.qr(torch.randn(D, D, generator=torch.Generator().manual_seed(0)))[0]
    flat = basis.reshape(10, 4, D).clone()
    flat[:, 2:] = flat[:, :2]
    tensors = {"encoder": flat.reshape(-1, D), "decoder": flat.reshape(-1, D)}
    tensors |= {"encoder_bias": torch.zeros(40), "decoder_bias": torch.zeros(D)}
    dictionary = SubspaceDictionary.build(tensors, group_size=4, active_groups=2, layer_norm=False)
    scores = evaluate(dictionary, make_data({}), Settings(), 0)
    assert find(scores, metric="group_redundancy") == pytest.approx(2)
