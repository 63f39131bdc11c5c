import pytest
import torch

from unweave.activations.batches import Batch
from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.sae import Settings, fit
from unweave.methods.sae.estimate import dictionary_of
from unweave.methods.sae.initial import geometric_median
from unweave.methods.sae.scaling import Scaling
from unweave.methods.sae.settings import TopK
from unweave.methods.sae.variants import OBJECTIVES

GATES = {
    "topk": {"kind": "topk", "k": 4},
    "signed topk": {"kind": "topk", "k": 4, "signed": True},
    "batchtopk": {"kind": "batchtopk", "k": 3},
    "running threshold": {"kind": "batchtopk", "k": 3, "threshold_rate": 0.02},
    "matryoshka": {"kind": "batchtopk", "k": 3, "prefixes": [0.25, 0.5]},
    "relu": {"kind": "relu", "l1_coefficient": 0.6},
    "plain relu": {"kind": "relu", "l1_coefficient": 0.6, "l1_weights": "none"},
    "jumprelu": {"kind": "jumprelu", "target_l0": 3, "initial_threshold": 0.1, "bandwidth": 0.3},
    "gated": {"kind": "gated", "l1_coefficient": 0.6},
}


def settings_for(gate, /, **changes):
    usual = {"n_features": 32, "batch_size": 256, "tokens": 200_000, "learning_rate": 5e-3, "warmup_steps": 20}
    if gate == "plain relu":
        usual["unit_decoder"] = True
    return Settings.model_validate({**usual, "gate": GATES[gate], **changes})


def quick(gate, /, **changes):
    return settings_for(gate, **{"tokens": 256 * 30, **changes})


@pytest.fixture(scope="module", params=GATES)
def trained(request, sparse_truth, cpu):
    return request.param, fit(sparse_truth.activations, settings_for(request.param), 0, cpu)


def test_planted_directions_are_recovered(trained, sparse_truth, matched_cosines):
    gate, made = trained
    cosines = matched_cosines(made.dictionary.atoms, sparse_truth.directions)
    found = 0.5 if gate == "matryoshka" else 0.8
    assert (cosines > 0.9).float().mean() >= found, cosines.sort().values
    assert made.diagnostics["fve"] > 0.8
    assert 2 < made.diagnostics["l0"] < 6


def test_atoms_are_unit_vectors(trained):
    torch.testing.assert_close(trained[1].dictionary.atoms.norm(dim=1), torch.ones(32))


def test_the_loss_falls_and_every_curve_has_a_value_at_each_point(trained):
    made = trained[1]
    assert made.history["fve"][-1] > made.history["fve"][0]
    assert {len(values) for values in made.history.values()} == {len(made.history_steps)}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("unit", [True, False])
def test_folding_scales_and_norms_into_the_weights_leaves_the_function_unchanged(gate, unit, sparse_truth, cpu):
    settings = quick(gate, unit_decoder=unit, input_scaling="none", initial_b_dec="mean")
    scale = (24**0.5) / sparse_truth.activations.statistics(row_norm=False).mean_norm
    scaled = settings.model_copy(update={"input_scaling": "expected_average_only_in"})
    shrunk = InMemoryActivations(sparse_truth.x * scale)
    one = fit(sparse_truth.activations, scaled, 0, cpu).dictionary
    other = fit(shrunk, settings, 0, cpu).dictionary
    x = sparse_truth.x[:500]
    torch.testing.assert_close(one.encode(x) * scale, other.encode(x * scale), rtol=1e-3, atol=1e-3)
    rebuilt = one.decode(one.encode(x)) * scale
    torch.testing.assert_close(rebuilt, other.decode(other.encode(x * scale)), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("gate", ["topk", "signed topk", "relu", "jumprelu", "gated"])
def test_the_dictionary_rebuilds_what_the_objective_rebuilds(gate, sparse_truth, batch_of):
    settings = quick(gate, unit_decoder=False, input_scaling="none")
    generator = torch.Generator().manual_seed(1)
    weights = {
        "W_enc": torch.randn(32, 24, generator=generator),
        "b_enc": torch.randn(32, generator=generator),
        "W_dec": torch.randn(32, 24, generator=generator),
        "b_dec": torch.randn(24, generator=generator),
    }
    scaling = Scaling(0.3, 0.3)
    objective = OBJECTIVES[type(settings.gate)](weights, settings, settings.gate, scaling)
    with torch.no_grad():
        for name in ("threshold", "r_mag", "b_mag"):
            if name in objective.parameters:
                objective.parameters[name].copy_(torch.rand(32, generator=generator))
    x = sparse_truth.x[:200]
    expected = objective.outcome(objective.known(scaling(batch_of(x))), 0).x_hat / 0.3
    dictionary = dictionary_of(objective, sparse_truth.activations, None)
    torch.testing.assert_close(dictionary.decode(dictionary.encode(x)), expected.detach(), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(32))


@pytest.mark.parametrize("gate", GATES)
def test_training_by_sparse_kernels_equals_training_by_dense_products(gate, sparse_truth, batch_of):
    settings = quick(gate)
    objectives = []
    for sparse in (True, False):
        generator = torch.Generator().manual_seed(2)
        W = torch.nn.functional.normalize(torch.randn(32, 24, generator=generator))
        weights = {"W_enc": W, "b_enc": torch.zeros(32), "W_dec": W, "b_dec": torch.zeros(24)}
        objective = OBJECTIVES[type(settings.gate)](weights, settings, settings.gate, Scaling(0.5, 0.5))
        objective.forced = sparse
        for step in range(3):
            values = objective.backward(batch_of(sparse_truth.x[step * 64 : step * 64 + 64]), step)
            assert values["sparse_kernels"] == float(sparse)
        objectives.append((objective, values["loss"]))
    (one, loss), (other, same) = objectives
    torch.testing.assert_close(loss, same)
    for name in one.parameters:
        torch.testing.assert_close(one.parameters[name].grad, other.parameters[name].grad, rtol=1e-4, atol=1e-5)


def test_a_bfloat16_encoder_ends_near_a_float32_one(sparse_truth, cpu):
    exact, fast = (
        fit(sparse_truth.activations, quick("topk", precision=precision), 0, cpu).diagnostics["fve"]
        for precision in ("float32", "bfloat16")
    )
    assert fast == pytest.approx(exact, abs=0.02)


class KilledError(Exception):
    pass


class Failing(InMemoryActivations):
    """Activations that cannot be read any more after some batches."""

    def __init__(self, x, reads):
        super().__init__(x)
        self.reads = reads

    def slices(self, ranges):
        for rows in super().slices(ranges):
            self.reads -= 1
            if self.reads < 0:
                raise KilledError
            yield rows


@pytest.mark.parametrize("gate", ["topk", "running threshold", "jumprelu", "gated"])
def test_a_resumed_fit_ends_as_an_uninterrupted_one(gate, sparse_truth, cpu, tmp_path):
    settings = quick(gate, memory_gb=0, tokens=256 * 300, dead_after_tokens=3000)
    expected = fit(sparse_truth.activations, settings, 0, cpu)
    path = tmp_path / "state"
    with pytest.raises(KilledError):
        fit(Failing(sparse_truth.x, 40), settings, 0, cpu, Checkpoint(path, "id", interval_s=0))
    assert path.exists()
    resumed = fit(sparse_truth.activations, settings, 0, cpu, Checkpoint(path, "id"))
    assert resumed.history == expected.history
    assert resumed.diagnostics == expected.diagnostics
    for name, tensor in expected.dictionary.tensors.items():
        assert torch.equal(resumed.dictionary.tensors[name], tensor)


def dead_share_after(aux_coefficient, sparse_truth, batch_of):
    """Share of dead latents after 400 steps from weights of which half can never win."""
    settings = quick(
        "topk", dead_after_tokens=2000, gate={"kind": "topk", "k": 3, "aux_coefficient": aux_coefficient, "aux_k": 8}
    )
    assert isinstance(settings.gate, TopK)
    generator = torch.Generator().manual_seed(0)
    W = torch.nn.functional.normalize(torch.randn(64, 24, generator=generator))
    biases = torch.zeros(64)
    biases[32:] = -1.5
    weights = {"W_enc": W, "b_enc": biases, "W_dec": W.clone(), "b_dec": sparse_truth.x.mean(0)}
    objective = OBJECTIVES[TopK](weights, settings, settings.gate)
    optimiser = torch.optim.Adam(objective.parameters.values(), lr=3e-3)
    share = []
    for step in range(400):
        start = step * 64 % 15_000
        share.append(float(objective.backward(batch_of(sparse_truth.x[start : start + 64]), step)["dead"]))
        optimiser.step()
        with torch.no_grad():
            objective.after_update(step)
    return share


def test_dead_latents_are_counted_and_revived_by_the_auxiliary_loss(sparse_truth, batch_of):
    left, revived = (dead_share_after(aux, sparse_truth, batch_of) for aux in (0, 1 / 4))
    assert left[0] == 0
    assert max(left) > 0.4
    assert left[-1] > 0.3
    assert revived[-1] < left[-1] - 0.15


def test_an_untrained_dictionary_has_the_l0_it_is_asked_for_and_its_initial_atoms(sparse_truth, cpu, tmp_path):
    settings = settings_for("topk", trained=False)
    made = fit(sparse_truth.activations, settings, 0, cpu, Checkpoint(tmp_path / "state", "id", interval_s=0))
    assert made.history == {}
    assert made.diagnostics["steps"] == 0
    # A latent that is among the strongest but negative counts as silent.
    assert 3 < made.diagnostics["l0"] <= 4
    torch.testing.assert_close(
        torch.nn.functional.normalize(made.dictionary.tensors["W_enc"]), made.dictionary.atoms, rtol=1e-5, atol=1e-6
    )
    trained = fit(sparse_truth.activations, settings_for("topk"), 0, cpu)
    assert made.diagnostics["fve"] < trained.diagnostics["fve"] - 0.2


def test_a_standardised_input_is_read_without_its_scale_and_gets_it_back(sparse_truth, cpu):
    settings = quick("topk", input_scaling="layer_norm", tokens=80_000)
    dictionary = fit(sparse_truth.activations, settings, 0, cpu).dictionary
    x = sparse_truth.x[:300]
    torch.testing.assert_close(dictionary.encode(3 * x + 1), dictionary.encode(x), rtol=1e-3, atol=1e-3)
    codes = dictionary.encode(x)
    restored = dictionary.decode(codes, like=x)
    assert (restored - x).square().sum() < 0.6 * (x - x.mean(0)).square().sum()
    assert not torch.allclose(dictionary.decode(codes), restored)


def test_standardised_strengths_have_zero_mean_and_unit_variance_and_leave_the_codes(sparse_truth, cpu):
    plain = quick("relu")
    standard = plain.model_copy(update={"gate": plain.gate.model_copy(update={"standardised": True})})
    one, other = (fit(sparse_truth.activations, settings, 0, cpu).dictionary for settings in (plain, standard))
    codes = one.encode(sparse_truth.x)
    assert torch.equal(codes, other.encode(sparse_truth.x))
    strengths = other.strengths(codes)
    active = codes.std(0) > 0.01
    torch.testing.assert_close(strengths.mean(0), torch.zeros(32), rtol=0, atol=1e-3)
    torch.testing.assert_close(strengths.std(0)[active], torch.ones(int(active.sum())), rtol=1e-3, atol=1e-3)
    assert torch.equal(one.strengths(codes), codes)


def with_targets(x, targets, site="mlp_out"):
    activations = InMemoryActivations(x)
    activations.targets = InMemoryActivations(targets)
    activations.targets.site = site
    return activations


@pytest.mark.parametrize("gate", ["topk", "batchtopk", "relu", "jumprelu", "gated"])
def test_a_transcoder_rebuilds_the_other_site(gate, sparse_truth, cpu):
    elsewhere = sparse_truth.codes @ torch.randn(32, 10, generator=torch.Generator().manual_seed(5)) - 2
    activations = with_targets(sparse_truth.x - sparse_truth.offset, elsewhere, "resid")
    made = fit(activations, settings_for(gate, target=True, initial_b_dec="mean"), 0, cpu)
    assert made.dictionary.traits.writes == "resid"
    assert made.dictionary.atoms.shape == (32, 10)
    assert made.diagnostics["fve"] > 0.7
    rebuilt = made.dictionary.decode(made.dictionary.encode(activations.rows()))
    assert (rebuilt - elsewhere).square().sum() < 0.4 * (elsewhere - elsewhere.mean(0)).square().sum()


def test_a_transcoder_without_targets_says_so(sparse_truth, cpu):
    with pytest.raises(UnweaveError, match="target: a transcoder needs the same tokens at another site"):
        fit(sparse_truth.activations, settings_for("topk", target=True), 0, cpu)


def test_more_active_latents_than_there_are_is_an_error(sparse_truth, cpu):
    with pytest.raises(UnweaveError, match=r"gate.k: 40 active latents of 32"):
        fit(sparse_truth.activations, settings_for("topk", gate={"kind": "topk", "k": 40}), 0, cpu)


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_rows_that_are_not_finite_are_an_error_before_any_training(sparse_truth, cpu, value):
    x = sparse_truth.x.clone()
    x[777, 3] = value
    with pytest.raises(UnweaveError, match="NaN or infinity"):
        fit(InMemoryActivations(x), settings_for("topk"), 0, cpu)
    with pytest.raises(UnweaveError, match=r"site resid: .*NaN or infinity"):
        fit(with_targets(sparse_truth.x, x, "resid"), settings_for("topk", target=True), 0, cpu)


def test_rows_that_are_all_equal_are_an_error(cpu):
    with pytest.raises(UnweaveError, match="equal: there is nothing to decompose"):
        fit(InMemoryActivations(torch.full((600, 24), 3.7)), settings_for("topk"), 0, cpu)


def test_a_constant_coordinate_is_no_obstacle(sparse_truth, cpu):
    x = sparse_truth.x.clone()
    x[:, 2] = 5
    made = fit(InMemoryActivations(x), settings_for("batchtopk"), 0, cpu)
    assert made.diagnostics["fve"] > 0.7


def test_too_few_rows_for_a_batch_are_an_error(sparse_truth, cpu):
    with pytest.raises(UnweaveError, match="lower batch_size"):
        fit(InMemoryActivations(sparse_truth.x[:100]), settings_for("topk"), 0, cpu)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trained": False, "gate": {"kind": "relu"}}, "needs a topk gate"),
        ({"target": True, "input_scaling": "layer_norm"}, "cannot be undone at another site"),
        ({"target": True, "subtract_b_dec": True}, "is of another space"),
        ({"gate": {"kind": "batchtopk", "prefixes": [0.5, 0.25]}}, "ascending shares"),
        ({"gate": {"kind": "batchtopk", "prefixes": [0.5, 1.0]}}, "ascending shares"),
        ({"gate": {"kind": "relu", "k": 3}}, "Extra inputs"),
        ({"gate": {"kind": "softmax"}}, "softmax"),
    ],
)
def test_settings_that_contradict_each_other_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        Settings.model_validate(changes)


def test_the_geometric_median_ignores_an_outlier_and_stands_still_on_a_row():
    x = torch.zeros(100, 3)
    x[:50] = torch.tensor([1.0, 0.0, 0.0])
    x[0] = 1e6
    assert geometric_median(x)[1:].abs().max() < 0.01
    assert torch.equal(geometric_median(torch.ones(5, 2)), torch.ones(2))


def test_a_target_keeps_its_own_scale():
    batch = Scaling(2.0, 0.5)(Batch(torch.ones(2, 3), torch.ones(2, 1)))
    assert torch.equal(batch.x, torch.full((2, 3), 2.0))
    assert torch.equal(batch.target, torch.full((2, 1), 0.5))
