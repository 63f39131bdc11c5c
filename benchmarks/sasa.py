"""Goals P13 and P15: a training step of SASA against the published dense step, and what its penalty costs.

Both sides start from the same weights and see the same batch; a step is all that a trainer does with it. The dense step
is ours, written from the published formulas (peers/sasa.py): the package that it comes from adds its own overhead.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from benchmarks.data import Data
from benchmarks.goal import Goal, paired
from benchmarks.machine import gemm_rate
from benchmarks.peers.sasa import PENALTY, Training
from unweave.activations.batches import Batch
from unweave.activations.source import Activations
from unweave.methods.sasa.nuclear import decoder_nuclear, product_nuclear
from unweave.methods.sasa.objective import SubspaceObjective, initial_parameters
from unweave.methods.sasa.settings import Settings
from unweave.methods.training import adam, update

CPU = torch.device("cpu")
FOREVER = 10**6
"""Steps: no schedule is near its end."""
SAME_LOSS = 1e-5
"""Relative, of the first steps of both sides in float32."""


@dataclass(frozen=True)
class Size:
    """Size of a step."""

    d: int
    groups: int
    group_size: int
    active_groups: int
    tokens: int = 2048

    @property
    def F(self) -> int:  # noqa: N802
        """Columns."""
        return self.groups * self.group_size

    @property
    def name(self) -> str:
        """What it is called in results."""
        return f"d={self.d} F={self.F} r={self.group_size} s={self.active_groups} B={self.tokens}"

    def batch(self, activations: Activations) -> Tensor:
        """Tokens (B, d): the first d coordinates of the first of them."""
        rows = torch.cat(list(activations.slices([(0, self.tokens)])))
        return rows[:, : self.d].contiguous()


SIZES = (Size(576, 1152, 4, 8), Size(768, 2048, 6, 10))


def settings_of(size: Size, precision: Literal["float32", "bfloat16"]) -> Settings:
    """Return the published settings at this size, without warm-up: both sides learn from the first step on."""
    return Settings(
        groups=size.groups,
        group_size=size.group_size,
        active_groups=size.active_groups,
        batch_size=size.tokens,
        warmup_steps=0,
        biases="both",
        unit_encoder_rows=True,
        unit_decoder_rows=True,
        penalty="decoder",
        penalty_weight=PENALTY,
        auxiliary="dead_columns",
        precision=precision,
    )


def our_step(size: Size, x: Tensor, precision: Literal["float32", "bfloat16"]) -> Callable[[], float]:
    """One step of ours; it returns the loss."""
    settings = settings_of(size, precision)
    objective = SubspaceObjective(initial_parameters(size.d, settings, 0, CPU), settings)
    optimiser = adam(objective.parameters, settings)
    done = 0

    def step() -> float:
        nonlocal done
        values = objective.backward(Batch(x, x), done)
        update(objective, optimiser, settings, done, FOREVER)
        done += 1
        return float(values["loss"])

    return step


def dense_step(size: Size, x: Tensor) -> Callable[[], float]:
    """One step of the published training."""
    start = initial_parameters(size.d, settings_of(size, "float32"), 0, CPU)["decoder"]
    training = Training(start, size.group_size, size.active_groups)
    return lambda: training.step(x)


def goals(data: Data) -> Iterator[Goal]:
    """P13 and P15 at two sizes; the larger one reads half of the MLP neurons, since no site has 768 dimensions."""
    for size in SIZES:
        x = size.batch(data.resid if size.d == data.resid.d else data.mlp_neurons)
        encoder = 2 * size.tokens * size.d * size.F / gemm_rate(size.tokens, size.d, size.F)
        for precision, target in (("float32", 4.0), ("bfloat16", 5.0)):
            ours, theirs = our_step(size, x, precision), dense_step(size, x)
            losses = [(ours(), theirs()) for _ in range(2)]
            apart = max(abs(mine / other - 1) for mine, other in losses)
            if precision == "float32" and apart > SAME_LOSS:
                raise AssertionError(f"{size.name}: losses {losses} differ")
            times = paired(ours, theirs)
            yield Goal(
                goal="P13",
                name=f"SASA step, {precision} encoder, against the dense published step, {size.name}",
                ours=1e3 * times.ours,
                peer=1e3 * times.peer,
                unit="ms per step",
                ratio=times.ratio,
                target=target,
                stretch=7.0,
                floor=1e3 * encoder,
                pairs=times.pairs,
                spread=times.spread,
                note=f"losses {apart:.1e} apart; {size.tokens / times.ours:.0f} tokens/s; the floor is one encoder "
                "product in float32",
            )
        yield from penalty_goals(size, our_step(size, x, "float32"))


def penalty_goals(size: Size, step: Callable[[], float]) -> Iterator[Goal]:
    """Share of a step that the penalties take, and their deviation from singular value decompositions."""
    generator = torch.Generator().manual_seed(1)
    E, D = (torch.randn(size.groups, size.group_size, size.d, generator=generator) for _ in range(2))
    for name, penalty in (
        ("decoder nuclear norm and gradient", lambda: decoder_nuclear(D)),
        ("product nuclear norm and gradients", lambda: product_nuclear(E, D)),
    ):
        times = paired(penalty, step)
        share = Goal(
            goal="P15",
            name=f"{name}: share of a step, {size.name}",
            ours=1e3 * times.ours,
            peer=1e3 * times.peer,
            unit="ms",
            ratio=1 / times.ratio,
            target=0.15,
            larger_is_better=False,
            stretch=0.05,
            pairs=times.pairs,
            spread=(1 / times.spread[1], 1 / times.spread[0]),
            note="against our whole step with a float32 encoder",
        )
        yield share
    some = slice(0, 32)
    wholes = torch.linalg.svdvals(D[some].double().mT @ E[some].double()).sum(1)
    blocks = torch.linalg.svdvals(D[some].double()).sum(1)
    deviations = (product_nuclear(E[some], D[some])[0] / wholes - 1, decoder_nuclear(D[some])[0] / blocks - 1)
    worst = float(torch.cat(deviations).abs().max())
    yield replace(
        share,
        name=f"nuclear norms: deviation from a singular value decomposition, {size.name}",
        ours=worst,
        peer=None,
        unit="relative",
        ratio=worst,
        target=1e-5,
        stretch=None,
        pairs=1,
        spread=None,
        note="",
    )
