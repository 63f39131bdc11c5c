import json

import pytest
import torch

from unweave.activations.memory import InMemoryActivations
from unweave.config import validated
from unweave.errors import UnweaveError
from unweave.methods import sasa
from unweave.methods.checkpoint import Checkpoint
from unweave.methods.sasa.objective import SubspaceObjective

SMALL = {
    "groups": 12,
    "group_size": 3,
    "active_groups": 2,
    "tokens": 60_000,
    "batch_size": 200,
    "learning_rate": 3e-3,
    "warmup_steps": 10,
    "biases": "decoder",
}
ARMS = {
    "paper": {"penalty": "product", "penalty_ratio": 0.01, "dead_window": 400},
    "weight decay": {"penalty": "none", "weight_decay": 1e-3, "gate": "batch_top_s"},
    "published code": {
        "penalty": "decoder",
        "penalty_weight": 1.0,
        "unit_encoder_rows": True,
        "unit_decoder_rows": True,
        "biases": "both",
        "auxiliary": "dead_columns",
        "dead_window": 5,
    },
}


@pytest.fixture(scope="module")
def planes():
    """Tokens that are sums of points of two of eight planes in 16 dimensions."""
    generator = torch.Generator().manual_seed(0)
    bases = torch.linalg.qr(torch.randn(8, 16, 2, generator=generator)).Q
    active = torch.rand(3000, 8, generator=generator).argsort(1)[:, :2]
    coordinates = torch.randn(3000, 2, 2, generator=generator)
    x = torch.einsum("nadi,nai->nd", bases[active], coordinates)
    return InMemoryActivations(4 * x + 1)


@pytest.mark.parametrize("arm", ARMS)
def test_training_explains_most_of_tokens_made_of_planes(planes, cpu, arm):
    fit = sasa.fit(planes, sasa.Settings(**(SMALL | ARMS[arm])), 0, cpu)
    x = planes.rows()
    rebuilt = fit.dictionary.decode(fit.dictionary.encode(x), like=x)
    explained = 1 - (x - rebuilt).square().sum() / (x - x.mean(0)).square().sum()
    assert explained > 0.8
    json.dumps(fit.diagnostics, allow_nan=False)
    assert fit.diagnostics["active_groups"] == pytest.approx(2, abs=0.2)
    assert fit.diagnostics["dead_groups"] + fit.diagnostics["alive_groups"] <= 12
    assert 1 <= fit.diagnostics["decoder_rank"]["rank90"] <= 3
    assert set(fit.history) >= {"loss", "reconstruction", "penalty", "auxiliary", "fve", "dead_share", "active_groups"}


@pytest.mark.parametrize("arm", ARMS)
def test_a_killed_fit_goes_on_to_the_same_bytes(planes, cpu, tmp_path, monkeypatch, arm):
    settings = sasa.Settings(**(SMALL | ARMS[arm] | {"tokens": 8000}))
    whole = sasa.fit(planes, settings, 0, cpu)
    backward = SubspaceObjective.backward

    def killed(self, batch, step):
        if step == 23:
            raise KeyboardInterrupt
        return backward(self, batch, step)

    monkeypatch.setattr(SubspaceObjective, "backward", killed)
    with pytest.raises(KeyboardInterrupt):
        sasa.fit(planes, settings, 0, cpu, Checkpoint(tmp_path / "kept", "id", interval_s=0))
    monkeypatch.setattr(SubspaceObjective, "backward", backward)
    resumed = sasa.fit(planes, settings, 0, cpu, Checkpoint(tmp_path / "kept", "id", interval_s=0))
    assert resumed.history == whole.history
    assert resumed.diagnostics == whole.diagnostics
    for name, tensor in whole.dictionary.tensors.items():
        assert torch.equal(resumed.dictionary.tensors[name], tensor)


def test_more_active_groups_than_groups_are_an_error():
    with pytest.raises(UnweaveError, match="active_groups is 13, but there are only 12 groups"):
        validated(sasa.Settings, SMALL | {"active_groups": 13}, "settings")


def test_one_coordinate_cannot_be_standardised(in_memory, cpu):
    one = in_memory(torch.randn(500, 1))
    with pytest.raises(UnweaveError, match="layer_norm needs activations of 2 dimensions"):
        sasa.fit(one, sasa.Settings(**SMALL), 0, cpu)
    sasa.fit(one, sasa.Settings(**(SMALL | {"layer_norm": False, "tokens": 2000})), 0, cpu)


def test_fewer_tokens_than_a_batch_are_an_error(in_memory, cpu):
    with pytest.raises(UnweaveError, match="lower batch_size"):
        sasa.fit(in_memory(torch.randn(100, 4)), sasa.Settings(**SMALL), 0, cpu)


def test_constant_coordinates_and_massive_rows_leave_a_finite_fit(in_memory, cpu):
    x = torch.randn(600, 8, generator=torch.Generator().manual_seed(3))
    x[:, 2] = 1.5
    x[::100] *= 1e4
    fit = sasa.fit(in_memory(x), sasa.Settings(**(SMALL | {"tokens": 4000})), 0, cpu)
    assert all(tensor.isfinite().all() for tensor in fit.dictionary.tensors.values())


def test_rows_that_are_not_finite_are_an_error(in_memory, cpu):
    x = torch.randn(600, 8)
    x[17, 3] = torch.nan
    with pytest.raises(UnweaveError, match="rows with NaN or infinity"):
        sasa.fit(in_memory(x), sasa.Settings(**SMALL), 0, cpu)
