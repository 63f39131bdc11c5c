import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.snmf import Settings, fit, neurons
from unweave.methods.snmf.factorisation import Factorisation, factorise
from unweave.methods.snmf.initialisation import initial_coefficients
from unweave.methods.snmf.neurons import NeuronBlocks

INITIALISATIONS = ["random", "kmeans", "kmeans_offset", "svd", "svd_resolved"]
SOLVERS = ["robust", "multiplicative"]


def test_separated_features_are_all_recovered(separated_features, matched_cosines, cpu):
    settings = Settings(n_features=40, sparsity=separated_features.sparsity, iterations=40)
    fitted = fit(separated_features.activations, settings, 0, cpu)
    assert matched_cosines(fitted.dictionary.atoms, separated_features.features).min() > 0.9
    codes = fitted.dictionary.encode(separated_features.x)
    assert matched_cosines(codes.T, separated_features.codes.T).min() > 0.9


@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_most_features_are_recovered_from_any_start(sparse_features, matched_cosines, cpu, initialisation):
    settings = Settings(n_features=10, sparsity=sparse_features.sparsity, iterations=60, initialisation=initialisation)
    fitted = fit(sparse_features.activations, settings, 0, cpu)
    assert matched_cosines(fitted.dictionary.atoms, sparse_features.features).median() > 0.9
    assert fitted.diagnostics["relative_error"] < 0.1


def test_the_published_iteration_recovers_them_too_though_not_as_far(separated_features, matched_cosines, cpu):
    common = {"n_features": 40, "sparsity": separated_features.sparsity}
    published = Settings(solver="multiplicative", iterations=150, patience=150, **common)
    slow = fit(separated_features.activations, published, 0, cpu)
    robust = fit(separated_features.activations, Settings(iterations=40, **common), 0, cpu)
    assert matched_cosines(slow.dictionary.atoms, separated_features.features).median() > 0.9
    assert robust.diagnostics["relative_error"] < slow.diagnostics["relative_error"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_features_keep_no_more_neurons_than_their_share(sparse_features, cpu, solver):
    dictionary = fit(
        sparse_features.activations, Settings(solver=solver, n_features=8, iterations=5), 0, cpu
    ).dictionary
    assert (dictionary.atoms != 0).sum(dim=1).tolist() == [1] * 8


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("initialisation", INITIALISATIONS)
def test_blocks_from_disk_and_of_any_size_give_the_same_fit(
    sparse_features, in_memory, cpu, monkeypatch, solver, initialisation
):
    settings = Settings(
        solver=solver, n_features=6, sparsity=0.1, iterations=4, initialisation=initialisation, memory_gb=0
    )
    one = fit(in_memory(sparse_features.x), settings, 0, cpu)
    monkeypatch.setattr(neurons, "CPU_BLOCK_TOKENS", 333)
    other = fit(sparse_features.activations, settings.model_copy(update={"memory_gb": 1.0}), 0, cpu)
    assert one.history["relative_error"] == pytest.approx(other.history["relative_error"], rel=1e-3)
    torch.testing.assert_close(one.dictionary.atoms, other.dictionary.atoms, rtol=1e-2, atol=1e-2)


def test_random_coefficients_depend_on_the_seed_and_not_on_blocks(sparse_features, monkeypatch, cpu):
    def drawn(seed):
        blocks = NeuronBlocks(sparse_features.activations, 1.0, cpu)
        return torch.cat(initial_coefficients("random", sparse_features.activations, blocks, 5, seed), dim=1)

    one = drawn(0)
    monkeypatch.setattr(neurons, "CPU_BLOCK_TOKENS", 77)
    assert torch.equal(one, drawn(0))
    assert not torch.equal(one, drawn(1))
    assert one.min() >= 1e-6
    assert one.max() <= 1


def test_singular_vectors_keep_more_with_their_sign_resolved(sparse_features, cpu):
    blocks = NeuronBlocks(sparse_features.activations, 1.0, cpu)
    kept = [
        torch.cat(initial_coefficients(name, sparse_features.activations, blocks, 5, 0), dim=1).square().sum(dim=1)
        for name in ("svd", "svd_resolved")
    ]
    _, singular, right = torch.linalg.svd(sparse_features.x.T, full_matrices=False)
    mass = singular[:5] * torch.stack(
        [(right[:5].clamp_min(0)).square().sum(1), (right[:5].clamp_max(0)).square().sum(1)]
    )
    torch.testing.assert_close(kept[1], mass.max(dim=0).values, rtol=1e-3, atol=1e-4)
    assert (kept[0] <= kept[1] * 1.0001).all()


def test_cluster_indicators_have_one_entry_for_each_token(sparse_features, cpu):
    blocks = NeuronBlocks(sparse_features.activations, 1.0, cpu)

    def start(name):
        return torch.cat(initial_coefficients(name, sparse_features.activations, blocks, 5, 0), dim=1)

    plain, offset = start("kmeans"), start("kmeans_offset")
    assert torch.equal(plain.sum(dim=0).round(), torch.ones(len(sparse_features.x)))
    assert plain.min() == pytest.approx(1e-6)
    torch.testing.assert_close(offset, plain.round() + 0.2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_interrupted_fit_ends_in_the_same_bytes(sparse_features, cpu, tmp_path, monkeypatch, solver):
    settings = Settings(solver=solver, n_features=12, sparsity=0.05, iterations=12, patience=100)
    whole = fit(sparse_features.activations, settings, 0, cpu)
    checkpoint = Checkpoint(tmp_path / "state", "id", interval_s=0)
    step = Factorisation.step

    def failing(self):
        if self.now.iteration == 7:
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Factorisation, "step", failing)
    with pytest.raises(KeyboardInterrupt):
        fit(sparse_features.activations, settings, 0, cpu, checkpoint)
    monkeypatch.setattr(Factorisation, "step", step)
    resumed = fit(sparse_features.activations, settings, 0, cpu, checkpoint)
    assert torch.equal(resumed.dictionary.atoms, whole.dictionary.atoms)
    assert resumed.history == whole.history
    assert resumed.diagnostics == whole.diagnostics


def test_a_best_iterate_of_long_ago_survives_an_interruption(sparse_features, cpu, tmp_path):
    settings = Settings(solver="multiplicative", n_features=7, sparsity=0.02, iterations=40, patience=100)
    whole = fit(sparse_features.activations, settings, 2, cpu)
    checkpoint = Checkpoint(tmp_path / "state", "id", interval_s=0)
    arguments = (sparse_features.activations, 7, "random")
    first = factorise(*arguments, settings.model_copy(update={"iterations": 35}), 2, cpu, checkpoint, "first")
    assert first.best.iteration < first.now.iteration, "this start was chosen because its error rises again"
    resumed = fit(sparse_features.activations, settings, 2, cpu, checkpoint)
    assert torch.equal(resumed.dictionary.atoms, whole.dictionary.atoms)
    assert resumed.diagnostics == whole.diagnostics


@pytest.mark.parametrize("solver", SOLVERS)
def test_tokens_and_neurons_of_zeros_do_no_harm(sparse_features, cpu, solver):
    x = sparse_features.x[:400].clone()
    x[::7] = 0
    x[:, 5] = 0
    fitted = fit(InMemoryActivations(x), Settings(solver=solver, n_features=5, sparsity=0.1, iterations=8), 0, cpu)
    assert fitted.dictionary.atoms.isfinite().all()
    assert not fitted.dictionary.atoms[:, 5].any()
    assert not fitted.dictionary.encode(x)[::7].any()


@pytest.mark.parametrize("solver", SOLVERS)
def test_more_features_than_neurons_are_possible(sparse_features, cpu, solver):
    fitted = fit(
        InMemoryActivations(sparse_features.x[:, :8]),
        Settings(solver=solver, n_features=20, sparsity=0.3, iterations=20),
        0,
        cpu,
    )
    assert fitted.dictionary.atoms.shape == (20, 8)
    assert fitted.diagnostics["relative_error"] < (0.02 if solver == "robust" else 0.3)


def test_a_massive_token_leaves_the_fit_finite(sparse_features, cpu):
    x = sparse_features.x[:400].clone()
    x[3] *= 1e5
    fitted = fit(InMemoryActivations(x), Settings(n_features=5, sparsity=0.2, iterations=8), 0, cpu)
    assert fitted.dictionary.encode(x).isfinite().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:5], "set n_features to 5 at most"),
        (lambda x: torch.cat([x, torch.full((1, 60), torch.nan)]), "NaN or infinite"),
        (lambda x: x * torch.inf, "NaN or infinite"),
        (torch.zeros_like, "all zero"),
    ],
)
def test_what_cannot_be_factorised_is_refused(sparse_features, cpu, change, message):
    with pytest.raises(UnweaveError, match=message):
        fit(InMemoryActivations(change(sparse_features.x)), Settings(n_features=6), 0, cpu)


def test_singular_vectors_start_no_more_features_than_neurons(sparse_features, cpu):
    with pytest.raises(UnweaveError, match="set n_features to 60 at most"):
        fit(sparse_features.activations, Settings(n_features=61, initialisation="svd"), 0, cpu)


def test_diagnostics_count_what_is_dead_dense_and_used(sparse_features, cpu):
    found = fit(sparse_features.activations, Settings(n_features=10, sparsity=0.1, iterations=20), 0, cpu).diagnostics
    assert found["neurons_per_feature"] == 6
    assert found["dead_features"] == 0
    assert 0 < found["code_density"] < 1
    assert 0 < found["neurons_used"] <= 60
    assert found["coefficient_bytes"] == 4 * 10 * 1500
