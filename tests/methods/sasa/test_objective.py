"""The step against its formulas, restated densely in float64 and differentiated automatically."""

import itertools

import pytest
import torch

from unweave.activations.batches import Batch
from unweave.errors import UnweaveError
from unweave.methods.sasa import Settings
from unweave.methods.sasa.objective import SubspaceObjective, initial_parameters

CPU = torch.device("cpu")
D = 12
SMALL = {"groups": 10, "group_size": 3, "active_groups": 2, "batch_size": 40, "tokens": 4000}


def settings(**changes):
    return Settings(**(SMALL | {"auxiliary": "none", "penalty": "none"} | changes))


def tokens(n=40, d=D, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * (1 + 3 * torch.rand(n, 1, generator=generator)) + 2


def objective(chosen, *, seed=3):
    """An objective away from its symmetric start."""
    parameters = initial_parameters(D, chosen, seed, CPU)
    generator = torch.Generator().manual_seed(seed + 1)
    for tensor in parameters.values():
        tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
    return SubspaceObjective(parameters, chosen)


def restated(x, parameters, chosen, *, penalty_weight=None):
    """Loss of tokens x as in the paper, without auxiliary loss: dense codes, a mask, and singular values."""
    E, W = parameters["encoder"], parameters["decoder"]
    b_dec = parameters.get("decoder_bias", torch.zeros(D, dtype=torch.float64))
    b_enc = parameters.get("encoder_bias", torch.zeros(len(E), dtype=torch.float64))
    mean = x.mean(1, keepdim=True) if chosen.layer_norm else 0
    deviation = x.std(1, keepdim=True) if chosen.layer_norm else 1
    z = (x - mean) / (deviation + 1e-5) if chosen.layer_norm else x
    codes = ((z - b_dec) @ E.T + b_enc).reshape(len(x), chosen.groups, chosen.group_size)
    norms = codes.norm(dim=2)
    if chosen.gate == "top_s":
        smallest = norms.topk(chosen.active_groups, dim=1).values[:, -1:]
    else:
        smallest = norms.flatten().topk(chosen.active_groups * len(x)).values[-1]
    y = (codes * (norms >= smallest)[:, :, None]).reshape(len(x), -1) @ W + b_dec
    error = y * deviation + mean - x if chosen.loss_scale == "raw" else y - z
    loss = error.square().sum(1).mean()
    blocks = (chosen.groups, chosen.group_size, D)
    if chosen.penalty == "product":
        loss = loss + penalty_weight * torch.linalg.svdvals(W.reshape(blocks).mT @ E.reshape(blocks)).sum()
    elif chosen.penalty == "decoder":
        loss = loss + penalty_weight * torch.linalg.svdvals(W.reshape(blocks)).sum(1).mean()
    return loss


ARMS = [
    {"layer_norm": norm, "biases": biases, "loss_scale": scale, "gate": gate}
    for norm, biases, scale, gate in itertools.product(
        (True, False), ("none", "decoder", "both"), ("raw", "normalised"), ("top_s", "batch_top_s")
    )
] + [
    {"penalty": "product", "penalty_weight": 0.7},
    {"penalty": "decoder", "penalty_weight": 5.0},
    {"penalty": "decoder", "penalty_weight": 5.0, "unit_encoder_rows": True, "unit_decoder_rows": True},
    {"group_size": 1, "penalty": "product", "penalty_weight": 0.7},
    {"group_size": 2, "penalty": "product", "penalty_weight": 0.7},
    {"group_size": 2, "penalty": "decoder", "penalty_weight": 0.7},
    {"active_groups": 10},
]


@pytest.mark.parametrize("changes", ARMS, ids=lambda changes: "-".join(map(str, changes.values())))
def test_loss_and_gradients_are_those_of_the_dense_formulas(changes):
    chosen = settings(**changes)
    ours, x = objective(chosen), tokens()
    values = ours.backward(Batch(x, x), 0)
    exact = {name: tensor.detach().double().requires_grad_() for name, tensor in ours.parameters.items()}
    loss = restated(x.double(), exact, chosen, penalty_weight=chosen.penalty_weight)
    loss.backward()
    assert float(values["loss"]) == pytest.approx(loss.item(), rel=1e-5)
    for name, tensor in ours.parameters.items():
        size = exact[name].grad.abs().max().item()
        torch.testing.assert_close(tensor.grad.double() / size, exact[name].grad / size, rtol=1e-5, atol=1e-5)
        assert tensor.grad.is_contiguous()


def test_with_bfloat16_only_the_choice_of_groups_may_differ():
    chosen = settings(biases="both", precision="bfloat16")
    ours, x = objective(chosen), tokens()
    exact = SubspaceObjective({name: t.clone() for name, t in ours.parameters.items()}, settings(biases="both"))
    mixed, full = (float(one.backward(Batch(x, x), 0)["loss"]) for one in (ours, exact))
    assert mixed == pytest.approx(full, rel=2e-2)
    assert ours.parameters["encoder"].grad.dtype == torch.float32
    every = settings(biases="both", precision="bfloat16", active_groups=10)
    all_active = SubspaceObjective({name: t.detach().clone() for name, t in ours.parameters.items()}, every)
    loss = float(all_active.backward(Batch(x, x), 0)["loss"])
    double = {name: t.detach().double() for name, t in ours.parameters.items()}
    assert loss == pytest.approx(restated(x.double(), double, every).item(), rel=1e-5)


@pytest.mark.parametrize("auxiliary", ["dead_groups", "dead_columns"])
@pytest.mark.parametrize("changes", [{}, {"loss_scale": "normalised"}, {"layer_norm": False}])
def test_the_gradient_of_the_auxiliary_loss_reaches_dead_groups_and_biases(auxiliary, changes):
    """Against a restatement in which the residual is a constant."""
    offset = auxiliary == "dead_columns"
    chosen = settings(auxiliary=auxiliary, auxiliary_offset=offset, biases="both", auxiliary_weight=0.5, **changes)
    ours, x = objective(chosen), tokens()
    ours.state["dead"][[2, 7]] = True
    columns = [6, 7, 8, 21, 22, 23]
    values = ours.backward(Batch(x, x), 0)
    exact = {name: tensor.detach().double().requires_grad_() for name, tensor in ours.parameters.items()}
    main = restated(x.double(), exact, chosen)

    wide = x.double()
    normed = chosen.layer_norm
    mean, deviation = (wide.mean(1, keepdim=True), wide.std(1, keepdim=True)) if normed else (0, 1)
    z = (wide - mean) / (deviation + 1e-5) if normed else wide
    centred = z - exact["decoder_bias"]
    codes = (centred @ exact["encoder"].T + exact["encoder_bias"]).reshape(40, 10, 3)
    norms = codes.norm(dim=2)
    active = (codes * (norms >= norms.topk(2, dim=1).values[:, -1:])[:, :, None]).reshape(40, 30)
    y = active @ exact["decoder"] + exact["decoder_bias"]
    raw = chosen.loss_scale == "raw"
    scale, shift = (deviation, mean) if raw else (1, 0)
    residual = ((wide if raw else z) - (y * scale + shift)).detach()
    E, W = exact["encoder"][columns], exact["decoder"][columns]
    if auxiliary == "dead_groups":
        rebuilt, weight = (residual @ E.T) @ W, 0.5
    else:
        taken = codes.reshape(40, 30)[:, columns]
        rebuilt = (taken @ W + exact["decoder_bias"]) * scale + shift
        weight = 0.5  # six dead columns, d / 2 = 6 of which may take part
    (main + weight * (residual - rebuilt).square().sum(1).mean()).backward()

    total = main + weight * (residual - rebuilt).square().sum(1).mean()
    assert float(values["loss"]) == pytest.approx(total.item(), rel=1e-5)
    assert values["dead_share"] == 0.2
    for name, tensor in ours.parameters.items():
        size = exact[name].grad.abs().max().item()
        torch.testing.assert_close(tensor.grad.double() / size, exact[name].grad / size, rtol=1e-5, atol=1e-5)


def test_the_weight_of_the_penalty_is_calibrated_once_on_the_first_batch():
    chosen = settings(penalty="product", penalty_ratio=0.1)
    ours = objective(chosen)
    first = ours.backward(Batch(tokens(), tokens()), 0)
    assert float(first["penalty"]) == pytest.approx(0.1 * float(first["reconstruction"]))
    weight = ours.state["penalty_weight"].clone()
    ours.backward(Batch(tokens(seed=5) * 100, tokens()), 1)
    assert torch.equal(ours.state["penalty_weight"], weight)


def test_a_lazy_penalty_acts_in_every_few_steps_with_as_many_times_its_weight():
    x = Batch(tokens(), tokens())
    plain, always, lazy = (
        objective(settings(penalty=penalty, penalty_weight=2.0, penalty_every=every))
        for penalty, every in (("none", 1), ("product", 1), ("product", 3))
    )
    gradients = {}
    for step, (name, one) in itertools.product(range(3), {"plain": plain, "always": always, "lazy": lazy}.items()):
        loss = one.backward(x, step)["loss"]
        gradients[name, step] = one.parameters["encoder"].grad.clone()
        if name == "lazy":
            assert float(loss) == pytest.approx(float(always.backward(x, step)["loss"]))
    part = gradients["always", 0] - gradients["plain", 0]
    torch.testing.assert_close(gradients["lazy", 0] - gradients["plain", 0], 3 * part, rtol=1e-3, atol=1e-3)
    assert torch.equal(gradients["lazy", 1], gradients["plain", 1])


def test_unit_rows_are_restored_after_every_update():
    ours = objective(settings(unit_encoder_rows=True, unit_decoder_rows=True))
    for name in ("encoder", "decoder"):
        ours.parameters[name] *= 3
    ours.after_update(0)
    for name in ("encoder", "decoder"):
        torch.testing.assert_close(ours.parameters[name].norm(dim=1), torch.ones(30))


def test_the_inference_threshold_follows_the_smallest_active_norm():
    ours = objective(settings(gate="batch_top_s", threshold_rate=0.5))
    ours.backward(Batch(tokens(), tokens()), 0)
    first = ours.state["threshold"].clone()
    other = objective(settings(gate="batch_top_s", threshold_rate=1.0))
    other.backward(Batch(tokens(seed=9), tokens()), 0)
    ours.backward(Batch(tokens(seed=9), tokens()), 1)
    torch.testing.assert_close(ours.state["threshold"], (first + other.state["threshold"]) / 2)


def test_groups_that_never_fire_are_dead_after_a_window_and_come_back_through_the_auxiliary_loss():
    chosen = settings(auxiliary="dead_groups", dead_window=80, biases="both")
    ours = objective(chosen)
    ours.parameters["encoder"][:3] *= 1e-6
    ours.parameters["encoder_bias"][:3] = 0
    shares = [float(ours.backward(Batch(tokens(seed=s), tokens()), s)["dead_share"]) for s in range(3)]
    assert shares[:2] == [0, 0]
    assert shares[2] >= 0.1
    assert ours.parameters["encoder"].grad[:3].abs().max() > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_is_an_error(bad):
    x = tokens()
    x[3, 4] = bad
    with pytest.raises(UnweaveError, match="NaN or infinite activations"):
        objective(settings()).backward(Batch(x, x), 0)


def test_one_massive_row_does_not_change_how_others_are_encoded():
    chosen = settings()
    ours, x = objective(chosen), tokens()
    massive = x.clone()
    massive[0] *= 1e4
    dictionary = ours.dictionary()
    torch.testing.assert_close(dictionary.encode(massive), dictionary.encode(x), rtol=1e-3, atol=1e-3)
    values = ours.backward(Batch(massive, massive), 0)
    assert torch.isfinite(values["loss"])
    assert all(tensor.grad.isfinite().all() for tensor in ours.parameters.values())
