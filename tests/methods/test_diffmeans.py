import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods import diffmeans

DIRECTIONS = torch.tensor([[3.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 1.0, 0]])


def classes_in(labels, *, noise=0.0, documents=None, seed=0):
    """Rows at the planted direction of their class, rows labelled -1 far away from all of them."""
    labels = np.asarray(labels)
    generator = torch.Generator().manual_seed(seed)
    x = torch.full((len(labels), 4), 50.0)
    known = torch.from_numpy(labels >= 0)
    x[known] = DIRECTIONS[labels[labels >= 0]]
    activations = InMemoryActivations(x + noise * torch.randn(len(labels), 4, generator=generator))
    activations.labels = labels
    activations.documents = None if documents is None else np.asarray(documents)
    return activations


def fitted(activations, **settings):
    return diffmeans.fit(activations, diffmeans.Settings(**settings), 0, torch.device("cpu"))


def test_each_atom_points_from_the_mean_of_the_other_classes_to_that_of_its_own():
    fit = fitted(classes_in([0, 1, 2, 1, 0, 0]), unit_atoms=False)
    own, others = DIRECTIONS[0], (2 * DIRECTIONS[1] + DIRECTIONS[2]) / 3
    torch.testing.assert_close(fit.dictionary.atoms[0], own - others)
    assert fit.diagnostics["classes"] == [0, 1, 2]
    assert fit.diagnostics["rows"] == {"0": 3, "1": 2, "2": 1}


def test_two_classes_give_the_one_direction_of_the_higher_label():
    fit = fitted(classes_in([0, 1, 0, 1]), unit_atoms=False)
    torch.testing.assert_close(fit.dictionary.atoms, (DIRECTIONS[1] - DIRECTIONS[0])[None])
    assert fit.diagnostics["classes"] == [1]


def test_classes_keep_their_labels_where_some_are_missing():
    assert fitted(classes_in([2, 0, 2, 0])).diagnostics["classes"] == [2]


def test_rows_without_a_class_are_left_out():
    without = fitted(classes_in([0, 1, 2, 2]))
    among = fitted(classes_in([-1, 0, 1, -1, 2, 2, -1]))
    for name, tensor in without.dictionary.tensors.items():
        torch.testing.assert_close(among.dictionary.tensors[name], tensor)


@pytest.mark.parametrize("unit_atoms", [True, False])
def test_code_times_atom_is_the_orthogonal_projection(unit_atoms):
    fit = fitted(classes_in([0, 1, 2] * 20, noise=0.3), unit_atoms=unit_atoms)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1))
    rest = x - fit.dictionary.tensors["center"]
    for feature, atom in enumerate(fit.dictionary.atoms):
        unit = atom / atom.norm()
        code = fit.dictionary.encode(x)[:, feature : feature + 1]
        torch.testing.assert_close(code * atom, (rest @ unit)[:, None] * unit, rtol=1e-4, atol=1e-5)
        assert (abs(float(atom.norm()) - 1) < 1e-6) == unit_atoms
    assert fit.diagnostics["difference_norms"] == pytest.approx(
        fitted(classes_in([0, 1, 2] * 20, noise=0.3), unit_atoms=False).dictionary.atoms.norm(dim=1).tolist()
    )


def test_codes_of_two_classes_have_opposite_means():
    activations = classes_in([0] * 30 + [1] * 30, noise=0.2)
    codes = fitted(activations).dictionary.encode(activations.rows())
    assert codes[:30].mean() < -1 < 1 < codes[30:].mean()


@pytest.mark.parametrize("weighting", ["token", "document"])
def test_means_over_many_blocks_are_those_over_all_rows(in_memory, weighting):
    rng = np.random.default_rng(0)
    documents = np.sort(rng.integers(0, 90, 2000))
    activations = in_memory(torch.tensor(rng.normal(size=(2000, 4)), dtype=torch.float32))
    activations.labels, activations.documents = documents % 4 - 1, documents
    found = fitted(activations, weighting=weighting, unit_atoms=False).dictionary.atoms
    rows, labels = activations.rows().double().numpy(), activations.labels
    if weighting == "document":
        rows = np.stack([rows[documents == document].mean(0) for document in np.unique(documents)])
        labels = np.unique(documents) % 4 - 1
    for label, atom in enumerate(found):
        own, others = rows[labels == label], rows[(labels != label) & (labels >= 0)]
        np.testing.assert_allclose(atom, own.mean(0) - others.mean(0), atol=1e-6)


def test_documents_count_equally_whatever_their_length():
    activations = classes_in([0, 0, 0, 1, 1], documents=[0, 0, 1, 2, 2])
    activations._x[2] = 0  # the one row of document 1
    by_token = fitted(activations, unit_atoms=False).dictionary.atoms[0]
    by_document = fitted(activations, unit_atoms=False, weighting="document").dictionary.atoms[0]
    torch.testing.assert_close(by_token, DIRECTIONS[1] - 2 / 3 * DIRECTIONS[0])
    torch.testing.assert_close(by_document, DIRECTIONS[1] - 1 / 2 * DIRECTIONS[0])


@given(st.permutations(range(12)))
def test_the_order_of_rows_does_not_matter(order):
    ordered, shuffled = classes_in([0, 1, 2] * 4, noise=1.0), classes_in([0, 1, 2] * 4)
    shuffled._x = ordered._x[order]
    shuffled.labels = ordered.labels[order]
    torch.testing.assert_close(fitted(shuffled).dictionary.atoms, fitted(ordered).dictionary.atoms)


def test_a_shift_of_all_rows_moves_the_center_alone():
    here, there = classes_in([0, 1, 2] * 4, noise=0.1), classes_in([0, 1, 2] * 4, noise=0.1)
    there._x += torch.tensor([5.0, -3.0, 0.0, 1.0])
    torch.testing.assert_close(fitted(there).dictionary.atoms, fitted(here).dictionary.atoms, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("labels", [None, [-1, -1, -1], [1, 1, -1]])
def test_fewer_than_two_classes_are_refused_with_the_mend(labels):
    activations = classes_in([0, 0, 0])
    activations.labels = None if labels is None else np.array(labels)
    with pytest.raises(UnweaveError, match="name a data set with `labels`"):
        fitted(activations)


def test_a_class_like_all_others_is_named():
    activations = classes_in([0, 1, 2, 0, 1, 2])
    activations._x[:] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    with pytest.raises(UnweaveError, match="class 0: its mean activation is that of all others"):
        fitted(activations)


def test_rows_that_are_not_finite_are_refused():
    activations = classes_in([0, 1, 0, 1])
    activations._x[2, 1] = float("nan")
    with pytest.raises(UnweaveError, match="NaN or infinite"):
        fitted(activations)


def test_documents_cannot_be_weighted_unless_they_are_known():
    with pytest.raises(UnweaveError, match="weighting: document needs the document of each row"):
        fitted(classes_in([0, 1]), weighting="document")
