"""The one training loop of all methods that descend a gradient: batches, learning rate, Adam, curves, checkpoints."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Generic, TypeVar

import torch
from pydantic import Field
from torch import Tensor

from unweave.activations.store import is_finite
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import Checkpoint
from unweave.progress import meter

CURVE_POINTS = 200
"""Points of a training curve: reading a loss back from a GPU in every step would hold it up."""
MEND = "lower learning_rate, or drop outlying rows (max_norm_ratio)"

B = TypeVar("B")
Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainingSettings(Strict):
    """Settings of the training loop; a method's own settings extend them and may change the defaults."""

    tokens: int = Field(default=1_000_000, ge=1, description="tokens seen in training, counting repetitions")
    batch_size: int = Field(default=4096, ge=2, description="tokens of one step")
    learning_rate: float = Field(default=3e-4, gt=0, description="of Adam, at its highest")
    betas: tuple[Beta, Beta] = Field(default=(0.9, 0.999), description="of Adam")
    weight_decay: float = Field(default=0.0, ge=0, description="decoupled (AdamW), of the matrices only")
    warmup_steps: int = Field(default=0, ge=0, description="steps of linear warm-up from 0")
    decay_fraction: float = Field(
        default=0.2, ge=0, le=1, description="last share of the steps, in which the learning rate falls linearly to 0"
    )
    clip_norm: float | None = Field(default=None, gt=0, description="largest global norm of the gradient")
    memory_gb: float = Field(
        default=4.0, ge=0, description="activations are kept in memory up to this size and read in chunks beyond it"
    )

    @property
    def steps(self) -> int:
        """Number of steps."""
        return max(1, self.tokens // self.batch_size)


def learning_rate(step: int, settings: TrainingSettings, steps: int) -> float:
    """Learning rate of step `step` (0 is the first): linear warm-up, a plateau, linear decay to 0."""
    rising = (step + 1) / settings.warmup_steps if step < settings.warmup_steps else 1.0
    decay_steps = round(settings.decay_fraction * steps)
    falling = (steps - step) / decay_steps if step > steps - decay_steps else 1.0
    return settings.learning_rate * min(rising, falling)


class Objective(ABC, Generic[B]):
    """A model in training: its parameters, and the step that leaves their gradients.

    `parameters` are learned by Adam; `state` is whatever else later steps depend on (counters, thresholds, running
    means). Both are saved in checkpoints, so a subclass keeps nothing else between steps.
    """

    def __init__(self, parameters: dict[str, Tensor], state: dict[str, Tensor] | None = None) -> None:
        # Fused Adam reads parameter and gradient as flat memory: strides that differ would silently mix coordinates.
        self.parameters = {name: tensor.contiguous() for name, tensor in parameters.items()}
        self.state = state or {}

    @abstractmethod
    def backward(self, batch: B, step: int) -> Mapping[str, Tensor | float]:
        """Set `.grad` of every parameter for one batch and return named scalars, `loss` among them."""

    def after_update(self, step: int) -> None:
        """Restore constraints on the parameters after Adam has moved them."""


def train(
    objective: Objective[B],
    batches: Callable[[int], Iterator[B]],
    settings: TrainingSettings,
    *,
    title: str,
    checkpoint: Checkpoint,
    steps: int | None = None,
) -> tuple[dict[str, list[float]], list[int]]:
    """Descend for `steps` (default `settings.steps`) and return the curves and the steps that their points belong to.

    `batches(t)` gives the batches from step t on. Points are the values of single batches, about 200 of them.

    Raises
    ------
    UnweaveError
        if the loss is not finite at a point of the curve, or a parameter is not after the last step.
    """
    steps = settings.steps if steps is None else steps
    every = math.ceil(steps / CURVE_POINTS)
    optimiser = adam(objective.parameters, settings)
    curves: dict[str, list[float]] = {}
    points: list[int] = []
    start = _resume(objective, optimiser, checkpoint, curves, points)
    step = start - 1
    with meter(title, steps * settings.batch_size, start * settings.batch_size) as advance:
        for step, batch in zip(range(start, steps), batches(start), strict=False):
            values = objective.backward(batch, step)
            note = ""
            if step % every == 0 or step == steps - 1:
                points.append(step + 1)
                for name, value in values.items():
                    curves.setdefault(name, []).append(float(value))
                loss = curves["loss"][-1]
                if not math.isfinite(loss):
                    raise UnweaveError(f"{title}: the loss is {loss} at step {step + 1}: {MEND}")
            if curves:
                note = f"loss {curves['loss'][-1]:.4g}"
            update(objective, optimiser, settings, step, steps)
            advance(settings.batch_size, note)
            if checkpoint.due and step < steps - 1:
                _keep(objective, optimiser, checkpoint, curves, points, step + 1)
    assert step == steps - 1, "the batches ended too early"
    for name, tensor in objective.parameters.items():
        if not is_finite(tensor):
            raise UnweaveError(f"{title}: {name} is not finite after the last step: {MEND}")
    return curves, points


def adam(parameters: dict[str, Tensor], settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return the Adam of `settings` for `parameters`; weight decay acts on matrices and not on vectors."""
    matrices = [tensor for tensor in parameters.values() if tensor.ndim > 1]
    vectors = [tensor for tensor in parameters.values() if tensor.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=settings.learning_rate, betas=settings.betas, fused=True
    )


@torch.no_grad()
def update(
    objective: Objective[B], optimiser: torch.optim.Optimizer, settings: TrainingSettings, step: int, steps: int
) -> None:
    """Move the parameters along the gradients of step `step` of `steps`: clipping, learning rate, Adam, constraints."""
    parameters = objective.parameters.values()
    for tensor in parameters:
        assert tensor.grad is not None
        assert tensor.grad.is_contiguous(), "a gradient must be contiguous, as its parameter is"
    if settings.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(parameters, settings.clip_norm)
    for group in optimiser.param_groups:
        group["lr"] = learning_rate(step, settings, steps)
    optimiser.step()
    objective.after_update(step)


def _ordered(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [tensor for group in optimiser.param_groups for tensor in group["params"]]


def _keep(
    objective: Objective[B],
    optimiser: torch.optim.Optimizer,
    checkpoint: Checkpoint,
    curves: dict[str, list[float]],
    points: list[int],
    step: int,
) -> None:
    tensors = {f"parameter.{name}": tensor for name, tensor in objective.parameters.items()}
    tensors |= {f"state.{name}": tensor for name, tensor in objective.state.items()}
    for i, parameter in enumerate(_ordered(optimiser)):
        tensors |= {f"optimiser.{i}.{key}": value for key, value in optimiser.state[parameter].items()}
    checkpoint.save(tensors, {"step": step, "curves": curves, "points": points})


@torch.no_grad()
def _resume(
    objective: Objective[B],
    optimiser: torch.optim.Optimizer,
    checkpoint: Checkpoint,
    curves: dict[str, list[float]],
    points: list[int],
) -> int:
    """Put everything back as `_keep` saved it and return the number of steps done."""
    kept = checkpoint.load()
    if kept is None:
        return 0
    tensors, facts = kept
    for name, tensor in objective.parameters.items():
        tensor.copy_(tensors[f"parameter.{name}"])
    for name, tensor in objective.state.items():
        tensor.copy_(tensors[f"state.{name}"])
    for i, parameter in enumerate(_ordered(optimiser)):
        prefix = f"optimiser.{i}."
        optimiser.state[parameter] = {
            name.removeprefix(prefix): tensor.to(parameter.device)
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }
    curves.update(facts["curves"])
    points += facts["points"]
    step: int = facts["step"]
    return step
