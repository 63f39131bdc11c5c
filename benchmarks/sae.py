"""Goals P11 and P12: one training step of a TopK autoencoder against dictionary_learning, sae-lens and sparsify.

All sides start from the same weights and see the same batches. A step is all that a trainer does with a batch: loss,
gradients, clipping, the constraint on atoms, Adam. No latent is dead, so that nobody computes the auxiliary loss.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from benchmarks.data import Data
from benchmarks.goal import Goal, Paired, paired
from benchmarks.machine import gemm_rate
from unweave.activations.batches import Batch
from unweave.methods.sae.settings import Settings, TopK
from unweave.methods.sae.variants import TopKObjective
from unweave.methods.training import adam, update

K = 32
FOREVER = 10**6
"""Steps: no schedule is near its end."""


@dataclass(frozen=True)
class Size:
    """Size of a step."""

    F: int
    B: int
    pairs: int

    @property
    def name(self) -> str:
        """How a line of the results calls it."""
        return f"F={self.F} B={self.B} k={K}"


SIZES = (Size(4608, 512, 9), Size(4608, 4096, 5), Size(9216, 4096, 5))


def weights(size: Size, d: int) -> dict[str, Tensor]:
    """Draw unit atoms, with their transpose as encoder."""
    drawn = torch.randn(size.F, d, generator=torch.Generator().manual_seed(0))
    W = torch.nn.functional.normalize(drawn)
    return {"W_enc": W, "b_enc": torch.zeros(size.F), "W_dec": W.clone(), "b_dec": torch.zeros(d)}


def our_step(start: dict[str, Tensor], x: Tensor, precision: str) -> Callable[[], float]:
    """One step of ours; it returns the loss."""
    gate = TopK(k=K, aux_scale="residual")
    settings = Settings.model_validate({"gate": gate, "precision": precision, "learning_rate": 3e-4})
    objective = TopKObjective(start, settings, gate)
    optimiser = adam(objective.parameters, settings)

    def step() -> float:
        values = objective.backward(Batch(x, x), 0)
        update(objective, optimiser, settings, 0, FOREVER)
        return float(values["loss"])

    return step


def dictionary_learning_step(start: dict[str, Tensor], x: Tensor) -> Callable[[], float]:
    """One step of dictionary_learning's TopKTrainer."""
    from dictionary_learning.trainers.top_k import TopKTrainer

    F, d = start["W_enc"].shape
    trainer = TopKTrainer(
        steps=FOREVER, activation_dim=d, dict_size=F, k=K, layer=0, lm_name="", lr=3e-4, warmup_steps=0,
        threshold_start_step=FOREVER, device="cpu",
    )  # fmt: skip
    trainer.ae.encoder.weight.data = start["W_enc"].clone()
    trainer.ae.encoder.bias.data = start["b_enc"].clone()
    trainer.ae.decoder.weight.data = start["W_dec"].T.clone()
    return lambda: trainer.update(1, x)


def sae_lens_step(start: dict[str, Tensor], x: Tensor) -> Callable[[], float]:
    """One step of sae-lens' trainer."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
    from sae_lens.training.sae_trainer import SAETrainer

    F, d = start["W_enc"].shape
    sae = TopKTrainingSAE(TopKTrainingSAEConfig(d_in=d, d_sae=F, k=K, apply_b_dec_to_input=True))
    sae.W_enc.data = start["W_enc"].T.clone().contiguous()
    sae.W_dec.data = start["W_dec"].clone()
    config = SAETrainerConfig(FOREVER * len(x), len(x), lr=3e-4, lr_end=3e-5)
    trainer = SAETrainer(cfg=config, sae=sae, data_provider=iter([]))
    return lambda: float(trainer.step(x).loss)


def sparsify_step(start: dict[str, Tensor], x: Tensor) -> Callable[[], float]:
    """One step of sparsify's coder on its CPU path, with the Adam that its trainer offers."""
    os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    F, d = start["W_enc"].shape
    coder = SparseCoder(d, SparseCoderConfig(num_latents=F, k=K))
    coder.encoder.weight.data = start["W_enc"].clone()
    coder.W_dec.data = start["W_dec"].clone()
    optimiser = torch.optim.Adam(coder.parameters(), lr=3e-4)

    def step() -> float:
        coder.set_decoder_norm_to_unit_norm()
        loss = coder(x).fvu
        loss.backward()
        coder.remove_gradient_parallel_to_decoder_directions()
        optimiser.step()
        optimiser.zero_grad()
        return float(loss)

    return step


def _batch(data: Data, size: Size) -> Tensor:
    rows = torch.cat(list(data.resid.slices([(0, size.B)])))
    rows = rows - rows.mean(0)
    return rows * (rows.shape[1] ** 0.5 / float(rows.norm(dim=1).mean()))


def _goal(number: str, name: str, times: Paired, size: Size, d: int, target: float, stretch: float, note: str) -> Goal:
    encoder = 2 * size.B * d * size.F / gemm_rate(size.B, d, size.F)
    return Goal(
        goal=number,
        name=f"{name}, {size.name}",
        ours=1e3 * times.ours,
        peer=1e3 * times.peer,
        unit="ms per step",
        ratio=times.ratio,
        target=target,
        stretch=stretch,
        floor=1e3 * encoder,
        pairs=times.pairs,
        spread=times.spread,
        note=f"{note}; the floor is one encoder product in float32",
    )


def goals(data: Data) -> Iterator[Goal]:
    """P11 at three sizes in both precisions, sae-lens beside the first two of them, P12."""
    d = data.resid.d
    for size in SIZES:
        x, start = _batch(data, size), weights(size, d)
        for precision, target, stretch in (("float32", 3.5, 5.0), ("bfloat16", 4.5, 7.0)):
            ours, theirs = our_step(start, x, precision), dictionary_learning_step(start, x)
            losses = [(ours(), theirs()) for _ in range(2)]
            apart = max(abs(mine - other) / other for mine, other in losses)
            note = f"losses of the first two steps differ by {apart:.0e}"
            times = paired(ours, theirs, size.pairs)
            yield _goal("P11", f"TopK against dictionary_learning, {precision}", times, size, d, target, stretch, note)
    for size in SIZES[:2]:
        x, start = _batch(data, size), weights(size, d)
        times = paired(our_step(start, x, "float32"), sae_lens_step(start, x), size.pairs)
        yield _goal("P11", "TopK against sae-lens, float32", times, size, d, 3.5, 5.0, "beside the goal")
    if importlib.util.find_spec("sparsify") is None:
        return
    size = replace(SIZES[0], pairs=9)
    x, start = _batch(data, size), weights(size, d)
    for precision, target in (("float32", 1.4), ("bfloat16", 1.8)):
        times = paired(our_step(start, x, precision), sparsify_step(start, x), size.pairs)
        note = "with Adam on both sides and without sparsify's data loading"
        yield _goal("P12", f"TopK against sparsify on a CPU, {precision}", times, size, d, target, 2.2, note)
