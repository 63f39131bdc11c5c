import pytest
import torch
from pydantic import ValidationError

from unweave.methods import snmf_hierarchy, training
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.dictionary import load, save
from unweave.methods.snmf.factorisation import Factorisation
from unweave.methods.snmf.fine_tuning import ChainObjective, chained
from unweave.methods.snmf.neurons import NeuronBlocks
from unweave.methods.snmf_hierarchy import FeatureTree, Settings

SMALL = Settings(levels=[12, 6, 3], sparsity=0.1, iterations=6, fine_tuning_iterations=8, learning_rate=0.01)


@pytest.fixture(scope="module")
def fitted(sparse_features, cpu):
    return snmf_hierarchy.fit(sparse_features.activations, SMALL, 0, cpu)


def test_every_level_has_its_features_and_links(fitted):
    tree = fitted.dictionary
    assert isinstance(tree, FeatureTree)
    assert tree.coarsest == 2
    assert [tree.level_atoms(level).shape for level in range(3)] == [(12, 60), (6, 60), (3, 60)]
    assert [tree.links(level).shape for level in (1, 2)] == [(6, 12), (3, 6)]
    assert torch.equal(tree.level_atoms(0), tree.atoms)
    assert [level["neurons_per_feature"] for level in fitted.diagnostics["levels"]] == [6, 6, 6]


def test_a_coarser_level_may_keep_the_neurons_of_all_that_it_stands_for(sparse_features, cpu):
    settings = SMALL.model_copy(update={"level_sparsity": "scaled", "sparsity": 0.05, "fine_tuning": "none"})
    levels = snmf_hierarchy.fit(sparse_features.activations, settings, 0, cpu).diagnostics["levels"]
    assert [level["neurons_per_feature"] for level in levels] == [3, 6, 12]


@pytest.mark.parametrize("tuned", [False, True])
def test_activations_of_a_level_are_those_of_the_finest_one_times_the_links(fitted, sparse_features, tuned):
    tree = fitted.dictionary
    codes = tree.encode(sparse_features.x[:50])
    assert torch.equal(tree.level_codes(codes, 0), codes)
    expected = codes @ tree.links(1, tuned=tuned).T @ tree.links(2, tuned=tuned).T
    torch.testing.assert_close(tree.level_codes(codes, 2, tuned=tuned), expected)


def test_tuned_features_of_a_level_are_composed_of_the_coarsest(fitted):
    tree = fitted.dictionary
    coarsest = tree.tensors["tuned.level_2.atoms"]
    torch.testing.assert_close(tree.level_atoms(1, tuned=True), tree.links(2, tuned=True).T @ coarsest)
    assert torch.linalg.matrix_rank(tree.level_atoms(0, tuned=True)) <= 3


def test_fine_tuning_keeps_the_constraints_if_and_only_if_it_projects(fitted, sparse_features, cpu):
    projected = fitted.dictionary
    free = snmf_hierarchy.fit(
        sparse_features.activations, SMALL.model_copy(update={"fine_tuning": "unconstrained"}), 0, cpu
    ).dictionary
    assert all((projected.links(level, tuned=True) >= 0).all() for level in (1, 2))
    assert (projected.tensors["tuned.level_2.atoms"] != 0).sum(dim=1).max() <= 6
    assert any((free.links(level, tuned=True) < 0).any() for level in (1, 2))
    assert (free.tensors["tuned.level_2.atoms"] != 0).sum(dim=1).max() > 6
    assert torch.equal(free.atoms, projected.atoms)


def test_fine_tuning_lowers_the_error_of_the_chain(fitted):
    error = fitted.diagnostics["mean_squared_error"]
    assert error["after"] < error["before"]
    assert fitted.history["fine_tuning_mean_squared_error"][0] == pytest.approx(error["before"])


def test_gradients_and_error_of_the_chain_are_those_of_autograd(sparse_features, cpu):
    generator = torch.Generator().manual_seed(0)
    neurons = NeuronBlocks(sparse_features.activations, 1.0, cpu)
    shapes = {"atoms": (2, 60), "link_1": (4, 5), "link_2": (2, 4), "coefficients": (5, 1500)}
    start = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    links = [start["link_1"], start["link_2"]]
    objective = ChainObjective(neurons, start["atoms"], links, start["coefficients"], None)
    loss = objective.backward(None, 0)["loss"]
    leaves = {name: tensor.double().requires_grad_() for name, tensor in start.items()}
    product = leaves["atoms"].T @ leaves["link_2"] @ leaves["link_1"] @ leaves["coefficients"]
    expected = (sparse_features.x.T - product).square().mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-5)
    for name, leaf in leaves.items():
        gradient = objective.parameters[name].grad.double()
        assert (gradient - leaf.grad).norm() < 1e-5 * leaf.grad.norm()


def test_a_chain_is_the_product_of_its_links():
    one, two = torch.rand(3, 5), torch.rand(2, 3)
    torch.testing.assert_close(chained([one, two], 5), two @ one)
    assert torch.equal(chained([], 4), torch.eye(4))


@pytest.mark.parametrize("stop", ["level 1", "fine-tuning"])
def test_an_interrupted_fit_ends_in_the_same_bytes(fitted, sparse_features, cpu, tmp_path, monkeypatch, stop):
    checkpoint = Checkpoint(tmp_path / "state", "id", interval_s=0)
    step, update = Factorisation.step, training.update

    def failing_step(self):
        if stop == "level 1" and self.neurons.n == 12 and self.now.iteration == 3:
            raise KeyboardInterrupt
        return step(self)

    def failing_update(objective, optimiser, settings, index, steps):
        if stop == "fine-tuning" and index == 4:
            raise KeyboardInterrupt
        update(objective, optimiser, settings, index, steps)

    with monkeypatch.context() as patch:
        patch.setattr(Factorisation, "step", failing_step)
        patch.setattr(training, "update", failing_update)
        with pytest.raises(KeyboardInterrupt):
            snmf_hierarchy.fit(sparse_features.activations, SMALL, 0, cpu, checkpoint)
    resumed = snmf_hierarchy.fit(sparse_features.activations, SMALL, 0, cpu, checkpoint)
    assert resumed.history == fitted.history
    assert resumed.diagnostics == fitted.diagnostics
    for name, tensor in fitted.dictionary.tensors.items():
        assert torch.equal(resumed.dictionary.tensors[name], tensor)


def test_a_saved_tree_loads_with_its_levels(fitted, tmp_path):
    save(fitted, tmp_path / "tree", {})
    loaded = load(tmp_path / "tree")
    assert isinstance(loaded, FeatureTree)
    assert torch.equal(loaded.level_atoms(1, tuned=True), fitted.dictionary.level_atoms(1, tuned=True))


@pytest.mark.parametrize("levels", [[10], [10, 10], [5, 8], [3, 0]])
def test_levels_become_coarser(levels):
    with pytest.raises(ValidationError):
        Settings(levels=levels)
