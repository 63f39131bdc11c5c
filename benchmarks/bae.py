"""The binary autoencoder: one training step against the published one, and many small autoencoders at once."""

import statistics
from collections.abc import Callable, Iterator
from itertools import repeat

import torch
from torch import Tensor

from benchmarks.data import Data
from benchmarks.goal import Goal, paired, seconds
from benchmarks.machine import gemm_rate
from benchmarks.peers import bae as peer
from unweave.activations.batches import Batch, Batches
from unweave.activations.memory import InMemoryActivations
from unweave.methods.bae.model import Loss, Parameters, loss_and_gradients
from unweave.methods.bae.objective import BinaryAutoencoders
from unweave.methods.bae.settings import Settings
from unweave.methods.checkpoint import NOTHING_KEPT
from unweave.methods.training import train

CPU = torch.device("cpu")
SHAPES = ((4, 512), (4, 1024), (8, 512), (8, 1024))
"""Widening and batch size."""
STEPS = 2
SETS, SET_ROWS, SET_WIDTH, SET_BATCH = 64, 1024, 16, 64
"""Small autoencoders: such as 8 positions of 8 layers, 1024 texts, 16 leading dimensions."""
PUBLISHED = {"gradient": "released", "entropy_weight": peer.ENTROPY_WEIGHT, "covariance_weight": peer.COVARIANCE_WEIGHT}


def goals(data: Data) -> Iterator[Goal]:
    """Measure on the residual stream."""
    rows = next(iter(data.resid.slices([(0, 4096)])))
    yield agreement(rows[:509])
    for expansion, batch_size in SHAPES:
        x = rows[:batch_size].contiguous()
        yield step_goal(x, expansion, "float32", target=2.5, stretch=3.5)
        yield step_goal(x, expansion, "bfloat16", target=2.5, stretch=4.5)
    yield many(next(iter(data.resid.slices([(0, SETS * SET_ROWS)]))))


def agreement(x: Tensor) -> Goal:
    """Compare the gradients of one step with autograd in float64, on a prime number of rows.

    With such a number no covariance of channels that vary is exactly zero, where the sign that autograd takes is
    rounding noise.
    """
    d = x.shape[1]
    torch.manual_seed(0)
    model = peer.Autoencoder(d, 4 * d)
    parameters = Parameters(
        *(
            tensor.detach().contiguous()
            for tensor in (model.encoder.weight, model.encoder.bias, model.decoder.weight.T, model.decoder.bias)
        )
    )
    loss = Loss("released", bits=1, summed=False, entropy_threshold=0.0, covariance=True, dtype=torch.float32)
    with torch.no_grad():
        ours = loss_and_gradients(parameters, x, loss, peer.ENTROPY_WEIGHT, peer.COVARIANCE_WEIGHT)[1]
    model.double()
    peer.loss_of(model, x.double())[0].backward()
    layers = {"encoder": "encoder.weight", "encoder_bias": "encoder.bias", "atoms": "decoder.weight"}
    theirs = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    worst = 0.0
    for name, mine in ours._asdict().items():
        expected = theirs[layers.get(name, "decoder.bias")]
        expected = expected.T if name == "atoms" else expected
        worst = max(worst, float((mine - expected).abs().max() / expected.abs().max()))
    return Goal(
        goal="P10",
        name=f"gradients of a step against autograd in float64, d={d} F={4 * d} B={len(x)}: largest deviation",
        ours=worst,
        peer=None,
        unit="of the largest gradient",
        ratio=worst,
        target=1e-5,
        larger_is_better=False,
    )


def our_steps(x: Tensor, expansion: int, precision: str) -> Callable[[], object]:
    """Training of some steps on one batch."""
    settings = Settings(
        **PUBLISHED, batch_size=len(x), expansion=expansion, precision=precision, entropy_start=0.0, learning_rate=1e-6
    )
    objective = BinaryAutoencoders(x.shape[1], torch.ones(1), settings, 0, STEPS)
    batch = Batch(x, x)

    def run() -> None:
        with torch.no_grad():
            train(objective, lambda _: repeat(batch), settings, title="BAE", checkpoint=NOTHING_KEPT, steps=STEPS)

    return run


def integer_rate(rows: int, inner: int, columns: int) -> float:
    """Operations per second of an 8-bit matrix product, median over repetitions."""
    a, b = torch.ones(rows, inner, dtype=torch.int8), torch.ones(inner, columns, dtype=torch.int8)
    torch._int_mm(a, b)
    return 2 * rows * inner * columns / statistics.median(seconds(lambda: torch._int_mm(a, b)) for _ in range(7))


def step_goal(x: Tensor, expansion: int, precision: str, target: float, stretch: float) -> Goal:
    """Time one step against the published one."""
    size, d = x.shape
    width = expansion * d
    training = peer.Training(d, width)

    def theirs() -> None:
        for _ in range(STEPS):
            training.step(x)

    times = paired(our_steps(x, expansion, precision), theirs)
    products = 10 * size * d * width / gemm_rate(size, d, width, getattr(torch, precision))
    covariance = 4 * size * width**2 / integer_rate(size, width, width)
    return Goal(
        goal="P10",
        name=f"step, d={d} F={width} B={size}, {precision}",
        ours=times.ours / STEPS,
        peer=times.peer / STEPS,
        unit="s",
        ratio=times.ratio,
        target=target,
        stretch=stretch,
        floor=products + covariance,
        pairs=times.pairs,
        spread=times.spread,
        note="five products with weights in this precision, covariance in 8-bit integers",
    )


def many(rows: Tensor) -> Goal:
    """Time the training of many small autoencoders at once against the published loop, one after the other.

    Each set is 1024 rows of leading coordinates; both sides see each row once.
    """
    x = rows[:, :SET_WIDTH].reshape(SETS, SET_ROWS, SET_WIDTH)
    beside = InMemoryActivations(x.transpose(0, 1).reshape(SET_ROWS, SETS * SET_WIDTH))
    settings = Settings(**PUBLISHED, batch_size=SET_BATCH, tokens=SET_ROWS, entropy_start=0.0)

    def run(activations: InMemoryActivations, sets: int) -> None:
        objective = BinaryAutoencoders(SET_WIDTH, torch.ones(sets), settings, 0, settings.steps)
        batches = Batches(activations, SET_BATCH, 0, CPU)
        with torch.no_grad():
            train(objective, batches.starting_at, settings, title="BAEs", checkpoint=NOTHING_KEPT)

    def theirs() -> None:
        for each in x:
            peer.train(each, settings.expansion * SET_WIDTH, SET_BATCH, epochs=1)

    times = paired(lambda: run(beside, SETS), theirs)
    singly = statistics.median(
        seconds(lambda: [run(InMemoryActivations(each), 1) for each in x]) / seconds(lambda: run(beside, SETS))
        for _ in range(3)
    )
    return Goal(
        goal="P18",
        name=f"{SETS} autoencoders at once, d={SET_WIDTH} F={4 * SET_WIDTH} B={SET_BATCH}, against one at a time",
        ours=times.ours,
        peer=times.peer,
        unit="s",
        ratio=times.ratio,
        target=8.0,
        pairs=times.pairs,
        spread=times.spread,
        note=f"{singly:.1f} times our own loop one at a time; wider ones are bound by their products either way",
    )
