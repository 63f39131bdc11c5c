import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import mse_loss

from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.training import CURVE_POINTS, Objective, TrainingSettings, learning_rate, train

SETTINGS = TrainingSettings(tokens=160, batch_size=4, learning_rate=0.01, warmup_steps=5)


class Regression(Objective[tuple[torch.Tensor, torch.Tensor]]):
    """y = x W + b by least squares, with a running mean of the loss that later losses depend on."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        parameters = {"W": torch.randn(3, 2, generator=generator), "b": torch.zeros(2)}
        super().__init__(parameters, {"mean_loss": torch.zeros(())})

    def gradients(self, batch):
        parameters = {name: tensor.detach().requires_grad_() for name, tensor in self.parameters.items()}
        loss = mse_loss(batch[0] @ parameters["W"] + parameters["b"], batch[1]) / (1 + self.state["mean_loss"])
        loss.backward()
        return float(loss.detach()), {name: tensor.grad for name, tensor in parameters.items()}

    def backward(self, batch, step):
        loss, gradients = self.gradients(batch)
        for name, tensor in self.parameters.items():
            tensor.grad = gradients[name]
        self.state["mean_loss"] = 0.9 * self.state["mean_loss"] + 0.1 * loss
        return {"loss": loss, "step": step}


def batch_of(step):
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(4, 3, generator=generator)
    return x, x @ torch.arange(6.0).reshape(3, 2) + 1


def batches(start):
    return map(batch_of, itertools.count(start))


def run(objective, settings=SETTINGS, read=batches, checkpoint=NOTHING_KEPT, steps=None):
    curves, points = train(objective, read, settings, title="regression", checkpoint=checkpoint, steps=steps)
    return objective, curves, points


class Killed(Exception):  # noqa: N818
    pass


def killed_at(step):
    def read(start):
        for t in itertools.count(start):
            if t == step:
                raise Killed
            yield batch_of(t)

    return read


def same(one, other):
    return (
        all(torch.equal(one[0].parameters[name], tensor) for name, tensor in other[0].parameters.items())
        and torch.equal(one[0].state["mean_loss"], other[0].state["mean_loss"])
        and one[1:] == other[1:]
    )


@given(
    steps=st.integers(1, 300),
    warmup=st.integers(0, 320),
    decay=st.floats(0, 1),
)
def test_the_learning_rate_rises_linearly_stays_and_falls_linearly(steps, warmup, decay):
    settings = TrainingSettings(learning_rate=0.5, warmup_steps=warmup, decay_fraction=decay)
    rates = [learning_rate(step, settings, steps) for step in range(steps)]
    decay_steps = round(decay * steps)
    for step, rate in enumerate(rates):
        rising = min(1.0, (step + 1) / warmup) if warmup else 1.0
        falling = min(1.0, (steps - step) / decay_steps) if decay_steps else 1.0
        assert rate == pytest.approx(0.5 * min(rising, falling))
    assert min(rates) > 0
    if warmup + decay_steps < steps:
        assert max(rates) == 0.5


def test_a_step_is_adam_with_that_learning_rate():
    objective = run(Regression())[0]
    peer = Regression()
    parameters = list(peer.parameters.values())
    adam = torch.optim.Adam(parameters, lr=1.0)
    for step in range(SETTINGS.steps):
        peer.backward(batch_of(step), step)
        adam.param_groups[0]["lr"] = learning_rate(step, SETTINGS, SETTINGS.steps)
        adam.step()
    for name, tensor in peer.parameters.items():
        torch.testing.assert_close(objective.parameters[name], tensor)


def test_training_lowers_the_loss():
    settings = SETTINGS.model_copy(update={"tokens": 8000, "learning_rate": 0.05})
    _, curves, _ = run(Regression(), settings)
    assert curves["loss"][-1] < 0.01 * curves["loss"][0]


@pytest.mark.parametrize("step", [1, 7, 39])
def test_a_killed_run_that_goes_on_ends_like_one_that_was_not(tmp_path, step):
    whole = run(Regression())
    checkpoint = Checkpoint(tmp_path / "checkpoint", "fit", interval_s=0)
    with pytest.raises(Killed):
        run(Regression(), read=killed_at(step), checkpoint=checkpoint)
    started = []

    def watched(start):
        started.append(start)
        return batches(start)

    resumed = run(Regression(), read=watched, checkpoint=Checkpoint(tmp_path / "checkpoint", "fit", interval_s=0))
    assert started == [step]
    assert same(resumed, whole)


def test_a_run_that_is_killed_again_and_again_ends_the_same(tmp_path):
    whole = run(Regression())
    for step in (3, 4, 20, 33):
        with pytest.raises(Killed):
            run(Regression(), read=killed_at(step), checkpoint=Checkpoint(tmp_path / "state", "fit", interval_s=0))
    assert same(run(Regression(), checkpoint=Checkpoint(tmp_path / "state", "fit", interval_s=0)), whole)


def spoil(path):
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(("identity", "damage"), [("another fit", None), ("fit", spoil)])
def test_the_state_of_another_fit_and_a_damaged_one_are_ignored(tmp_path, identity, damage):
    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        run(Regression(), read=killed_at(9), checkpoint=Checkpoint(path, "fit", interval_s=0))
    if damage:
        damage(path)
    assert same(run(Regression(), checkpoint=Checkpoint(path, identity, interval_s=0)), run(Regression()))


def test_nothing_is_kept_before_it_is_due(tmp_path):
    run(Regression(), checkpoint=Checkpoint(tmp_path / "checkpoint", "fit", interval_s=3600))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_one_clear_line(loss):
    class Diverging(Regression):
        def backward(self, batch, step):
            return {**super().backward(batch, step), "loss": loss if step >= 6 else 1.0}

    with pytest.raises(UnweaveError, match=r"^regression: the loss is .* at step 7: lower learning_rate") as error:
        run(Diverging())
    assert "\n" not in str(error.value)


def test_parameters_that_the_last_step_broke_are_refused():
    class Breaking(Regression):
        def backward(self, batch, step):
            values = super().backward(batch, step)
            if step == SETTINGS.steps - 1:
                self.parameters["b"].grad[0] = float("nan")
            return values

    with pytest.raises(UnweaveError, match="regression: b is not finite after the last step"):
        run(Breaking())


def test_batches_that_end_too_early_do_not_pass_for_a_whole_run():
    with pytest.raises(AssertionError, match="the batches ended too early"):
        run(Regression(), read=lambda start: map(batch_of, range(start, 3)))


def test_a_gradient_with_other_strides_than_its_parameter_is_refused():
    class Transposed(Regression):
        def backward(self, batch, step):
            values = super().backward(batch, step)
            self.parameters["W"].grad = self.parameters["W"].grad.T.contiguous().T
            return values

    with pytest.raises(AssertionError, match="a gradient must be contiguous"):
        run(Transposed())


def test_fused_adam_of_torch_does_mix_up_coordinates_where_strides_differ():
    # Why the loop refuses such gradients. When this fails, torch has mended it and the loop may stop looking.
    weight, gradient = torch.zeros(2, 3), torch.arange(6.0).reshape(2, 3) - 2.5
    moved = {}
    for name, grad in (("same", gradient.clone()), ("other", gradient.T.contiguous().T)):
        parameter = weight.clone()
        parameter.grad = grad
        torch.optim.AdamW([parameter], lr=0.1, weight_decay=0.0, fused=True).step()
        moved[name] = parameter
    assert torch.equal(moved["same"].sign(), -gradient.sign())
    assert not torch.equal(moved["other"], moved["same"])


def test_parameters_are_made_contiguous():
    class Plain(Objective[int]):
        backward = None

    objective = Plain({"W": torch.arange(6.0).reshape(2, 3).T})
    assert objective.parameters["W"].is_contiguous()
    assert torch.equal(objective.parameters["W"], torch.arange(6.0).reshape(2, 3).T)


class Still(Regression):
    """Nothing pulls at the parameters."""

    def backward(self, batch, step):  # noqa: ARG002
        for tensor in self.parameters.values():
            tensor.grad = torch.zeros_like(tensor)
        return {"loss": 1.0}


def test_weight_decay_shrinks_matrices_and_nothing_else():
    settings = SETTINGS.model_copy(update={"weight_decay": 0.5, "warmup_steps": 0, "decay_fraction": 0.0})
    objective = Still()
    objective.parameters["b"] += 3
    before = objective.parameters["W"].clone()
    run(objective, settings, steps=10)
    torch.testing.assert_close(objective.parameters["W"], before * (1 - 0.01 * 0.5) ** 10)
    assert torch.equal(objective.parameters["b"], torch.full((2,), 3.0))


def norm_of(gradients):
    return torch.cat([gradient.flatten() for gradient in gradients]).norm().item()


@pytest.mark.parametrize("clip_norm", [0.5, 1000.0])
def test_the_global_norm_of_the_gradient_is_clipped_and_a_small_one_is_not_scaled_up(clip_norm):
    objective = Regression()
    unclipped = norm_of(objective.gradients(batch_of(0))[1].values())
    assert 0.5 < unclipped < 1000
    run(objective, SETTINGS.model_copy(update={"clip_norm": clip_norm}), steps=1)
    clipped = norm_of(tensor.grad for tensor in objective.parameters.values())
    assert clipped == pytest.approx(min(clip_norm, unclipped), rel=1e-4)


def test_constraints_are_restored_after_every_update_without_recording_gradients():
    class Unit(Regression):
        def after_update(self, step):  # noqa: ARG002
            assert not torch.is_grad_enabled()
            self.parameters["W"].div_(self.parameters["W"].norm(dim=0))

    objective = run(Unit())[0]
    torch.testing.assert_close(objective.parameters["W"].norm(dim=0), torch.ones(2))


@pytest.mark.parametrize("steps", [1, 7, 199, 200, 201, 1999])
def test_curves_have_about_two_hundred_points_with_the_first_and_the_last_step(steps):
    _, curves, points = run(Still(), steps=steps)
    assert len(points) == len(curves["loss"]) <= CURVE_POINTS + 1
    assert len(points) >= min(steps, CURVE_POINTS // 2)
    assert (points[0], points[-1]) == (1, steps)
    assert points == sorted(set(points))


def test_points_carry_the_values_of_their_step():
    _, curves, points = run(Regression(), steps=500)
    assert curves["step"] == [point - 1 for point in points]


def test_fewer_tokens_than_a_batch_are_one_step():
    assert TrainingSettings(tokens=3, batch_size=4096).steps == 1


@pytest.mark.parametrize("betas", [(0.9, 1.0), (-0.1, 0.9)])
def test_betas_that_adam_cannot_take_are_refused_by_the_settings(betas):
    with pytest.raises(ValueError, match="betas"):
        TrainingSettings(betas=betas)
