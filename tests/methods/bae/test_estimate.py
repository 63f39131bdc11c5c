import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.methods.bae import Settings, fit, fit_many
from unweave.methods.bae.objective import BinaryAutoencoders
from unweave.methods.bae.split import joint_scale, split
from unweave.methods.checkpoint import Checkpoint

SMALL = Settings(
    tokens=20_000, batch_size=128, gradient="sigmoid", entropy_weight=1e-3, covariance_weight=1e-6, learning_rate=2e-3
)


def directions(n=1500, d=8, r=2, seed=0, noise=0.0):
    """Rows that are sums of r random directions, each of them there half of the time: exactly r bits."""
    generator = torch.Generator().manual_seed(seed)
    on = torch.randint(0, 2, (n, r), generator=generator).float()
    x = on @ torch.randn(r, d, generator=generator)
    return x + noise * torch.randn(n, d, generator=generator)


def same(one, other):
    assert one.diagnostics == other.diagnostics
    assert one.history == other.history
    for name, tensor in one.dictionary.tensors.items():
        assert torch.equal(tensor, other.dictionary.tensors[name]), name


@pytest.fixture(scope="module")
def two_bits():
    from unweave.activations.memory import InMemoryActivations

    return InMemoryActivations(directions())


def test_two_planted_bits_are_found_and_rebuilt(two_bits, cpu):
    facts = fit(two_bits, SMALL.model_copy(update={"tokens": 200_000, "entropy_weight": 1e-2}), 0, cpu).diagnostics
    assert facts["entropy_chow_liu"] == pytest.approx(2, abs=0.02)
    assert facts["entropy"] >= facts["entropy_chow_liu"] - 1e-6
    assert facts["fvu"] < 0.01


def test_penalising_entropy_costs_reconstruction_and_saves_bits(in_memory, cpu):
    rows = in_memory(directions(r=8, noise=0.3))
    weights = (0.0, 1e-3, 1e-1)
    facts = [fit(rows, SMALL.model_copy(update={"entropy_weight": w}), 0, cpu).diagnostics for w in weights]
    assert facts[0]["entropy"] > facts[1]["entropy"] > facts[2]["entropy"]
    assert facts[0]["fvu"] < facts[2]["fvu"]


def test_penalising_covariance_lowers_it(in_memory, cpu):
    rows = in_memory(directions(r=8))
    facts = [
        fit(rows, SMALL.model_copy(update={"entropy_weight": 0.0, "covariance_weight": w}), 0, cpu).diagnostics
        for w in (0.0, 1e-1)
    ]
    assert facts[1]["covariance"] < 0.5 * facts[0]["covariance"]


def test_an_interrupted_fit_ends_in_the_same_bytes(two_bits, cpu, tmp_path, monkeypatch):
    def kept():
        return Checkpoint(tmp_path / "state", "this", interval_s=0)

    whole = fit(two_bits, SMALL, 0, cpu)
    backward = BinaryAutoencoders.backward

    def interrupted(self, batch, step):
        if step == 70:
            raise KeyboardInterrupt
        return backward(self, batch, step)

    monkeypatch.setattr(BinaryAutoencoders, "backward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(two_bits, SMALL, 0, cpu, kept())
    seen = []
    monkeypatch.setattr(
        BinaryAutoencoders, "backward", lambda self, batch, step: seen.append(step) or backward(self, batch, step)
    )
    same(fit(two_bits, SMALL, 0, cpu, kept()), whole)
    assert seen[0] == 70


def test_rows_that_are_read_in_chunks_are_trained_on_too(two_bits, cpu):
    streamed = fit(two_bits, SMALL.model_copy(update={"memory_gb": 0.0}), 0, cpu)
    assert streamed.diagnostics["fvu"] < 0.05


def test_another_seed_gives_another_dictionary(two_bits, cpu):
    one, other = (fit(two_bits, SMALL, seed, cpu).dictionary.tensors["encoder"] for seed in (0, 1))
    assert not torch.allclose(one, other, atol=1e-2)


def test_the_scale_of_activations_does_not_matter_if_they_get_unit_variance(in_memory, cpu):
    settings = SMALL.model_copy(update={"inputs": "unit_variance"})
    x = directions()
    one, other = (fit(in_memory(x * factor), settings, 0, cpu) for factor in (1, 64))
    assert other.history == one.history
    assert other.diagnostics["input_scale"] == 64 * one.diagnostics["input_scale"]
    torch.testing.assert_close(other.dictionary.encode(64 * x), one.dictionary.encode(x))
    torch.testing.assert_close(other.dictionary.atoms, 64 * one.dictionary.atoms)
    raw = [fit(in_memory(x * factor), SMALL, 0, cpu).history["entropy"][-1] for factor in (1, 64)]
    assert raw[0] != raw[1]


def test_the_rates_are_those_of_all_rows(two_bits, cpu):
    dictionary = fit(two_bits, SMALL, 0, cpu).dictionary
    torch.testing.assert_close(dictionary.tensors["rates"], dictionary.encode(two_bits.rows()).mean(0))


def test_without_a_bias_in_the_encoder_codes_ignore_the_scale_of_a_row(two_bits, cpu):
    fitted = fit(two_bits, SMALL.model_copy(update={"encoder_bias": False}), 0, cpu)
    x = two_bits.rows()
    assert not fitted.dictionary.tensors["encoder_bias"].any()
    assert torch.equal(fitted.dictionary.encode(4 * x), fitted.dictionary.encode(x))


def test_the_entropy_is_penalised_only_after_its_start(two_bits, cpu):
    def entropies(**update):
        return fit(two_bits, SMALL.model_copy(update=update), 0, cpu).history["entropy"]

    without, late = entropies(entropy_weight=0.0), entropies(entropy_weight=1e-1, entropy_start=0.5)
    switch = len(late) // 2
    assert late[:switch] == without[:switch]
    assert late[-1] < without[-1]


def test_the_covariance_is_penalised_only_after_its_start(two_bits, cpu):
    update = {"entropy_weight": 0.0, "covariance_weight": 1e-2}
    late = fit(two_bits, SMALL.model_copy(update={**update, "covariance_start": 0.5}), 0, cpu).history
    early = fit(two_bits, SMALL.model_copy(update=update), 0, cpu).history
    without = fit(two_bits, SMALL.model_copy(update={**update, "covariance_weight": 0.0}), 0, cpu).history
    switch = len(late["loss"]) // 2
    assert late["entropy"][:switch] == without["entropy"][:switch]
    assert late["covariance"][-1] < late["covariance"][switch - 1]
    assert early["covariance"][switch - 1] < late["covariance"][switch - 1]


def test_averaged_penalties_are_summed_ones_of_another_weight(two_bits, cpu):
    width = 32
    mean = SMALL.model_copy(
        update={
            "penalties": "mean",
            "entropy_weight": 1e-3 * width,
            "covariance_weight": 1e-6 * width * (width - 1),
        }
    )
    one, other = fit(two_bits, SMALL, 0, cpu).history, fit(two_bits, mean, 0, cpu).history
    assert one["loss"][:20] == pytest.approx(other["loss"][:20], rel=1e-4)


def test_a_decoder_of_more_bits_rebuilds_better(in_memory, cpu):
    rows = in_memory(directions(r=6, noise=0.5))
    for refit in (False, True):
        fvu = [
            fit(rows, SMALL.model_copy(update={"decode_bits": m, "refit_decoder": refit}), 0, cpu).diagnostics["fvu"]
            for m in (1, 4)
        ]
        assert fvu[1] < fvu[0]


def test_a_refitted_decoder_rebuilds_better_with_the_same_codes(in_memory, cpu):
    rows = in_memory(directions(r=6, noise=0.5))
    settings = SMALL.model_copy(update={"validation_fraction": 0.0, "refit_ridge": 1e-6})
    trained, refitted = (
        fit(rows, settings.model_copy(update={"refit_decoder": refit}), 0, cpu) for refit in (False, True)
    )
    assert torch.equal(trained.dictionary.encode(rows.rows()), refitted.dictionary.encode(rows.rows()))
    assert refitted.diagnostics["fvu"] < trained.diagnostics["fvu"]
    assert refitted.diagnostics["entropy"] == trained.diagnostics["entropy"]


def test_bfloat16_products_train_as_well(two_bits, cpu):
    facts = fit(two_bits, SMALL.model_copy(update={"precision": "bfloat16"}), 0, cpu).diagnostics
    assert facts["fvu"] < 0.05


def test_epochs_end_training_before_the_tokens_do(two_bits, cpu):
    # 1200 training rows: 9 batches of 128 in an epoch
    facts = fit(two_bits, SMALL.model_copy(update={"epochs": 3}), 0, cpu).diagnostics
    assert facts["steps"] == 27
    assert facts["epochs"] == 3
    assert fit(two_bits, SMALL.model_copy(update={"epochs": 3, "tokens": 1280}), 0, cpu).diagnostics["steps"] == 10


def test_the_last_rows_are_held_out(in_memory):
    rows = in_memory(torch.arange(10.0)[:, None])
    trained, held_out = split(rows, 0.2)
    assert trained.rows().flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert held_out.rows().flatten().tolist() == [8, 9]
    assert held_out.statistics(row_norm=False).mean.tolist() == [8.5]
    assert [len(part.rows()) for part in split(rows, 0.0)] == [10, 10]


def test_the_joint_scale_is_the_root_of_the_mean_variance(in_memory):
    x = torch.randn(1000, 5, generator=torch.Generator().manual_seed(0)) * torch.tensor([1, 2, 3, 4, 0.0]) + 1000
    assert joint_scale(in_memory(x)) == pytest.approx(math.sqrt(x.double().var(0, correction=0).mean()), rel=1e-4)


def test_a_last_batch_of_one_row_does_no_harm(in_memory, cpu):
    # 641 training rows, 5 batches of 128 and one left; 129 held-out rows, one in the last batch
    facts = fit(in_memory(directions(770)), SMALL.model_copy(update={"validation_fraction": 0.168}), 0, cpu).diagnostics
    assert facts["rows"] == 129
    assert math.isfinite(facts["covariance"])


def test_constant_features_are_harmless(in_memory, cpu):
    x = torch.cat([directions(), torch.full((1500, 2), 3.0)], dim=1)
    fitted = fit(in_memory(x), SMALL.model_copy(update={"inputs": "unit_variance"}), 0, cpu)
    assert all(tensor.isfinite().all() for tensor in fitted.dictionary.tensors.values())
    assert fitted.diagnostics["fvu"] < 0.3


def spoiled(value):
    x = directions()
    x[1400, 3] = value
    return x


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (directions(100), "batches of 128 rows"),
        (torch.ones(1500, 8), "all 1500 rows of the activations are equal"),
        (spoiled(math.nan), "NaN or infinite"),
        (spoiled(-math.inf), "NaN or infinite"),
    ],
)
def test_activations_that_cannot_be_encoded_are_refused(in_memory, cpu, x, message):
    with pytest.raises(UnweaveError, match=message):
        fit(in_memory(x), SMALL, 0, cpu)


def test_a_training_that_diverges_says_so(in_memory, cpu):
    with pytest.raises(UnweaveError, match="the loss is"):
        fit(in_memory(directions() * 1e18), SMALL, 0, cpu)


@pytest.mark.parametrize("update", [{"decode_bits": 3}, {"gradient": "squarewave"}, {"validation_fraction": 1.0}])
def test_settings_that_mean_nothing_are_refused(update):
    with pytest.raises(ValidationError):
        Settings(**update)


def sets() -> Tensor:
    return torch.stack([directions(seed=seed) * (1 + seed) for seed in range(3)])


@pytest.mark.parametrize(
    "update", [{}, {"inputs": "unit_variance", "decode_bits": 4}, {"encoder_bias": False, "weight_decay": 0.1}]
)
def test_sets_that_are_trained_side_by_side_are_as_if_alone(in_memory, cpu, update):
    settings = SMALL.model_copy(update={**update, "tokens": 12_800})
    together = fit_many(sets(), settings, 0, cpu)
    for each, side_by_side in zip(sets(), together, strict=True):
        alone = fit(in_memory(each), settings, 0, cpu)
        assert side_by_side.history.keys() == alone.history.keys()
        assert side_by_side.history["loss"] == pytest.approx(alone.history["loss"], rel=1e-3)
        assert side_by_side.diagnostics == pytest.approx(alone.diagnostics, rel=1e-3)
        for name, tensor in alone.dictionary.tensors.items():
            torch.testing.assert_close(side_by_side.dictionary.tensors[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_single_set_is_the_same_as_alone(in_memory, cpu):
    (one,) = fit_many(sets()[:1], SMALL, 0, cpu)
    same(one, fit(in_memory(sets()[0]), SMALL, 0, cpu))


def test_interrupted_sets_end_in_the_same_bytes(cpu, tmp_path, monkeypatch):
    settings = SMALL.model_copy(update={"tokens": 6400})
    whole = fit_many(sets(), settings, 0, cpu)
    backward = BinaryAutoencoders.backward

    def interrupted(self, batch, step):
        if step == 30:
            raise KeyboardInterrupt
        return backward(self, batch, step)

    with monkeypatch.context() as patch:
        patch.setattr(BinaryAutoencoders, "backward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit_many(sets(), settings, 0, cpu, Checkpoint(tmp_path / "state", "this", interval_s=0))
    again = fit_many(sets(), settings, 0, cpu, Checkpoint(tmp_path / "state", "this", interval_s=0))
    for one, other in zip(again, whole, strict=True):
        same(one, other)


def test_the_set_that_cannot_be_encoded_is_named(cpu):
    x = sets()
    x[1] = 0
    with pytest.raises(UnweaveError, match="set 1 of 3: all 1500 rows"):
        fit_many(x, SMALL, 0, cpu)


def test_sets_have_no_common_norm_to_clip(cpu):
    with pytest.raises(UnweaveError, match="clip_norm"):
        fit_many(sets(), SMALL.model_copy(update={"clip_norm": 1.0}), 0, cpu)
