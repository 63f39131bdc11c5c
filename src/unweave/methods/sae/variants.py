"""The gates and losses of sparse autoencoders, one objective each."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.batches import Batch
from unweave.methods.sae.gates import jump_relu, top_k, top_of_batch
from unweave.methods.sae.gates import step as heaviside
from unweave.methods.sae.objective import Outcome, SparseAutoencoderObjective, Step
from unweave.methods.sae.scaling import Scaling
from unweave.methods.sae.settings import BatchTopK, Gated, JumpReLU, ReLU, Settings, TopK
from unweave.methods.sparse_kernels import Active, decoded, spread

THRESHOLD_BATCHES = 32
"""Batches after training whose smallest active values make the threshold of BatchTopK."""


def squared_error(target: Tensor, x_hat: Tensor) -> Tensor:
    """Mean over tokens of the squared error summed over dimensions."""
    return (target - x_hat).square().sum(-1).mean()


def ramp(step: int, steps: int) -> float:
    """Share of a penalty in step `step` (0 is the first) of a linear warm-up of `steps` steps."""
    return min(1.0, (step + 1) / steps) if steps else 1.0


class TopKObjective(SparseAutoencoderObjective[TopK]):
    """Gao et al. 2024 (arXiv 2406.04093); with signs AbsTopK."""

    @override
    def outcome(self, batch: Step, step: int) -> Outcome:
        ranking = self.ranking(batch.pre)
        signed = self.gate.signed
        active = replace(top_k(ranking.abs() if signed else ranking, self.gate.k), forced=self.forced)
        values = self.values(active, batch)
        codes = values if signed else values.relu()
        x_hat = self.rebuilt(active, codes)
        return Outcome(active, codes, x_hat, squared_error(batch.target, x_hat), {})


class BatchTopKObjective(SparseAutoencoderObjective[BatchTopK]):
    """Bussmann et al. 2024 (arXiv 2412.06410), with prefixes Matryoshka (arXiv 2503.17547).

    State: `threshold` () float64, -1 while it is unknown.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        settings: Settings,
        gate: BatchTopK,
        scaling: Scaling = Scaling(),  # noqa: B008
    ) -> None:
        device = parameters["b_enc"].device
        super().__init__(
            parameters, settings, gate, scaling, {"threshold": torch.tensor(-1.0, dtype=torch.float64, device=device)}
        )
        F = len(parameters["b_enc"])
        ends = [max(1, round(share * F)) for share in gate.prefixes]
        self._prefix_of = torch.bucketize(torch.arange(F, device=device), torch.tensor(ends, device=device), right=True)
        self._prefixes = len(ends) + 1

    @override
    def outcome(self, batch: Step, step: int) -> Outcome:
        ranking = self.ranking(batch.pre)
        count = self.gate.k * len(batch.rows)
        active = replace(top_of_batch(ranking, count), forced=self.forced)
        codes = self.values(active, batch).relu()
        self._learn_threshold(active.gathered(ranking))
        x_hats = self._of_prefixes(active, codes)
        losses = [squared_error(batch.target, x_hat) for x_hat in x_hats]
        loss = torch.stack(losses).sum()
        return Outcome(active, codes, x_hats[-1], loss, {})

    def _of_prefixes(self, active: Active, codes: Tensor) -> Tensor:
        """(P, B, d'): what each prefix rebuilds.

        Codes of different prefixes are put into rows of their own, so that one product decodes them all.
        """
        if self._prefixes == 1:
            return self.rebuilt(active, codes)[None]
        rows = self._prefix_of[active.features.long()] * active.n_rows + active.rows
        positions, order = (rows * active.n_features + active.features).sort()
        apart = Active.of_flat(positions, self._prefixes * active.n_rows, active.n_features)
        parts = decoded(replace(apart, forced=active.sparse), codes[order], self.parameters["W_dec"])
        return parts.reshape(self._prefixes, active.n_rows, -1).cumsum(0) + self.parameters["b_dec"]

    @torch.no_grad()
    def _learn_threshold(self, winners: Tensor) -> None:
        """Move the threshold towards the smallest of the active latents, (A,) as they were ranked."""
        if self.gate.threshold_rate is None or len(winners) == 0:
            return
        threshold, smallest = self.state["threshold"], winners.min().double()
        moved = threshold + self.gate.threshold_rate * (smallest - threshold)
        threshold.copy_(torch.where(threshold < 0, smallest, moved))

    @override
    @torch.no_grad()
    def after_training(self, batches: Iterator[Batch]) -> None:
        if self.gate.threshold_rate is not None:
            return
        smallest = []
        for batch in islice(batches, THRESHOLD_BATCHES):
            ranking = self.ranking(self.known(self.scaling(batch)).pre)
            active = top_of_batch(ranking, self.gate.k * len(ranking))
            if active.count:
                smallest.append(active.gathered(ranking).min().double())
        if smallest:
            self.state["threshold"].copy_(torch.stack(smallest).mean())


class ReLUObjective(SparseAutoencoderObjective[ReLU]):
    """Bricken et al. 2023, with the weights of Anthropic's update of April 2024."""

    @override
    def outcome(self, batch: Step, step: int) -> Outcome:
        active = replace(Active.of_mask(batch.pre > 0), forced=self.forced)
        codes = self.values(active, batch).relu()
        x_hat = self.rebuilt(active, codes)
        weighted = codes
        if self.gate.l1_weights == "decoder_norm" and not self.settings.unit_atoms:
            weighted = codes * spread(active, self.parameters["W_dec"].norm(dim=1))
        l1 = weighted.sum() / active.n_rows
        share = ramp(step, self.gate.sparsity_warmup_steps)
        loss = squared_error(batch.target, x_hat) + share * self.gate.l1_coefficient * l1
        return Outcome(active, codes, x_hat, loss, {"l1": l1.detach()})


class JumpReLUObjective(SparseAutoencoderObjective[JumpReLU]):
    """Rajamanoharan et al. 2024 (arXiv 2407.14435). Parameter `threshold` (F,), kept at or above 0.

    The threshold itself is learned, not its logarithm, which Adam would move by a few per cent of its value per step.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        settings: Settings,
        gate: JumpReLU,
        scaling: Scaling = Scaling(),  # noqa: B008
    ) -> None:
        threshold = torch.full_like(parameters["b_enc"], gate.initial_threshold)
        super().__init__({"threshold": threshold, **parameters}, settings, gate, scaling)

    @override
    def outcome(self, batch: Step, step: int) -> Outcome:
        threshold, bandwidth = self.parameters["threshold"], self.gate.bandwidth
        # Latents just below their threshold are not active, but decide where it moves.
        near = batch.pre > (threshold.detach() - bandwidth / 2).to(batch.pre.dtype)
        active = replace(Active.of_mask(near), forced=self.forced)
        values, thresholds = self.values(active, batch), spread(active, threshold)
        codes = jump_relu(values, thresholds, bandwidth)
        x_hat = self.rebuilt(active, codes)
        l0 = heaviside(values, thresholds, bandwidth).sum() / active.n_rows
        target = self.gate.target_l0
        penalty = l0 if target is None else (l0 / target - 1).square()
        share = ramp(step, self.gate.sparsity_warmup_steps)
        loss = squared_error(batch.target, x_hat) + share * self.gate.l0_coefficient * penalty
        return Outcome(active, codes, x_hat, loss, {"threshold": threshold.detach().mean()})

    @override
    def after_update(self, step: int) -> None:
        super().after_update(step)
        self.parameters["threshold"].clamp_(min=0)


class GatedObjective(SparseAutoencoderObjective[Gated]):
    """Rajamanoharan et al. 2024 (arXiv 2404.16014). `b_enc` is the bias of the gate; parameters `r_mag`, `b_mag` (F,).

    The magnitude is exp(r_mag) times what the gate sees before its bias, plus b_mag. The gate alone must rebuild the
    activation too, through a decoder that is frozen for this loss.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        settings: Settings,
        gate: Gated,
        scaling: Scaling = Scaling(),  # noqa: B008
    ) -> None:
        zeros = torch.zeros_like(parameters["b_enc"])
        super().__init__({"r_mag": zeros, "b_mag": zeros, **parameters}, settings, gate, scaling)

    @override
    def outcome(self, batch: Step, step: int) -> Outcome:
        own = self.parameters
        active = replace(Active.of_mask(batch.pre > 0), forced=self.forced)
        values = self.values(active, batch)
        gates = values.relu()
        seen = values - spread(active, own["b_enc"])
        magnitudes = (seen * spread(active, own["r_mag"].exp()) + spread(active, own["b_mag"])).relu()
        codes = magnitudes * (values > 0)
        x_hat = self.rebuilt(active, codes)
        by_gate = decoded(active, gates, own["W_dec"].detach()) + own["b_dec"].detach()
        weighted = gates
        if not self.settings.unit_atoms:
            weighted = gates * spread(active, own["W_dec"].norm(dim=1))
        l1 = weighted.sum() / active.n_rows
        share = ramp(step, self.gate.sparsity_warmup_steps)
        loss = squared_error(batch.target, x_hat) + squared_error(batch.target, by_gate)
        loss = loss + share * self.gate.l1_coefficient * l1
        return Outcome(active, codes, x_hat, loss, {"l1": l1.detach()})


OBJECTIVES: dict[type, type[SparseAutoencoderObjective[Any]]] = {
    TopK: TopKObjective,
    BatchTopK: BatchTopKObjective,
    ReLU: ReLUObjective,
    JumpReLU: JumpReLUObjective,
    Gated: GatedObjective,
}
"""Objective of each kind of gate settings."""
