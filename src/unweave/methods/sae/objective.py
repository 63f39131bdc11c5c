"""One step of a sparse autoencoder: pre-activations, dead latents, constraints on atoms. Gates are in `variants`."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear
from typing_extensions import override

from unweave.activations.batches import Batch
from unweave.methods.sae.gates import top_k
from unweave.methods.sae.scaling import Scaling
from unweave.methods.sae.settings import BatchTopK, Gated, JumpReLU, ReLU, Settings, TopK
from unweave.methods.sparse_kernels import Active, decoded, encoded
from unweave.methods.training import Objective

GateSettings = TypeVar("GateSettings", TopK, BatchTopK, ReLU, JumpReLU, Gated)


@dataclass(frozen=True)
class Step:
    """What is known of a batch before its gate is applied."""

    rows: Tensor
    """(B, d) what the encoder reads, without a gradient."""
    target: Tensor
    """(B, d') what is to be rebuilt."""
    pre: Tensor
    """(B, F) pre-activations in the precision of the encoder, without a gradient."""


@dataclass(frozen=True)
class Outcome:
    """What a gate makes of a batch. Losses are means over tokens of sums over dimensions or latents."""

    active: Active
    codes: Tensor
    """(A,) codes of the active latents; some may be 0."""
    x_hat: Tensor
    """(B, d')"""
    loss: Tensor
    """What is descended, without the loss that revives dead latents."""
    terms: Mapping[str, Tensor | float]
    """Parts of it, for the curves."""


class SparseAutoencoderObjective(Objective[Batch], Generic[GateSettings]):
    """Parameters `W_enc` (F, d), `b_enc` (F,), `W_dec` (F, d'), `b_dec` (d',) and what a gate adds; one class per gate.

    State: `silent_tokens` (F,) int64, the tokens seen since a latent was last active, and what a gate adds.
    """

    def __init__(
        self,
        parameters: dict[str, Tensor],
        settings: Settings,
        gate: GateSettings,
        scaling: Scaling = Scaling(),  # noqa: B008
        state: dict[str, Tensor] | None = None,
    ) -> None:
        F = len(parameters["b_enc"])
        silent = torch.zeros(F, dtype=torch.int64, device=parameters["b_enc"].device)
        super().__init__(
            {name: tensor.detach().clone() for name, tensor in parameters.items()},
            {"silent_tokens": silent, **(state or {})},
        )
        for tensor in self.parameters.values():
            tensor.requires_grad_()
        self.settings = settings
        self.gate: GateSettings = gate
        self.scaling = scaling
        self.forced: bool | None = None
        """Whether sparse kernels must (not) be taken; None chooses for each batch by its share of active codes."""

    @abstractmethod
    def outcome(self, batch: Step, step: int) -> Outcome:
        """Apply the gate, with gradients."""

    @override
    def backward(self, batch: Batch, step: int) -> Mapping[str, Tensor | float]:
        for tensor in self.parameters.values():
            tensor.grad = None
        known = self.known(self.scaling(batch))
        outcome = self.outcome(known, step)
        error = known.target - outcome.x_hat.detach()
        self._count(outcome)
        loss, terms = outcome.loss, dict(outcome.terms)
        revival = self._revival(known, error)
        if revival is not None:
            loss, terms["aux"] = loss + revival, revival.detach()
        loss.backward()  # type: ignore[no-untyped-call]
        for tensor in self.parameters.values():
            if tensor.grad is None:
                tensor.grad = torch.zeros_like(tensor)
        if self.settings.unit_atoms:
            self._drop_radial_gradient()
        spread = known.target - known.target.mean(0)
        return {
            "loss": loss.detach(),
            "fve": 1 - error.square().sum() / spread.square().sum(),
            "l0": torch.count_nonzero(outcome.codes.detach()) / len(known.rows),
            "dead": self.dead.float().mean(),
            "sparse_kernels": float(outcome.active.sparse),
            **terms,
        }

    @override
    def after_update(self, step: int) -> None:
        if self.settings.unit_atoms:
            W_dec = self.parameters["W_dec"]
            W_dec.div_(W_dec.norm(dim=1, keepdim=True).clamp_min(1e-12))

    def after_training(self, batches: Iterator[Batch]) -> None:
        """Learn what the finished dictionary needs besides the parameters, from further batches."""

    @property
    def dead(self) -> Tensor:
        """(F,) which latents have not been active for `dead_after_tokens` tokens."""
        return self.state["silent_tokens"] >= self.settings.dead_after_tokens

    def ranking(self, pre: Tensor) -> Tensor:
        """Return what latents compete by, (B, F): pre-activations as if all atoms had unit norm."""
        if self.settings.unit_atoms:
            return pre
        norms: Tensor = self.parameters["W_dec"].detach().norm(dim=1)
        return pre * norms.to(pre.dtype)

    def values(self, active: Active, batch: Step) -> Tensor:
        """Pre-activations (A,) of the active latents in float32, differentiable."""
        exact = batch.pre.dtype == torch.float32
        return encoded(
            active,
            batch.rows,
            self.parameters["W_enc"],
            self.parameters["b_enc"],
            self.parameters["b_dec"] if self.settings.centred else None,
            active.gathered(batch.pre) if exact else None,
        )

    def rebuilt(self, active: Active, codes: Tensor) -> Tensor:
        """Decode codes to (B, d'), differentiably."""
        return decoded(active, codes, self.parameters["W_dec"]) + self.parameters["b_dec"]

    @torch.no_grad()
    def known(self, batch: Batch) -> Step:
        """Compute the pre-activations of a scaled batch."""
        W_enc, b_enc = self.parameters["W_enc"], self.parameters["b_enc"]
        rows = batch.x - self.parameters["b_dec"] if self.settings.centred else batch.x
        dtype = getattr(torch, self.settings.precision)
        return Step(rows, batch.target, linear(rows.to(dtype), W_enc.to(dtype), b_enc.to(dtype)))

    @torch.no_grad()
    def _count(self, outcome: Outcome) -> None:
        silent = self.state["silent_tokens"]
        silent += outcome.active.n_rows
        silent[outcome.active.features[outcome.codes != 0].long()] = 0

    def _revival(self, batch: Step, residual: Tensor) -> Tensor | None:
        """Loss of rebuilding the residual (B, d') by the strongest dead latents (Gao et al. 2024, A.2)."""
        gate = self.gate
        if not isinstance(gate, TopK | BatchTopK) or gate.aux_coefficient == 0:
            return None
        dead = self.dead.nonzero()[:, 0]
        if len(dead) == 0:
            return None
        signed = isinstance(gate, TopK) and gate.signed
        ranking = self.ranking(batch.pre[:, dead] if self.settings.unit_atoms else batch.pre)
        ranking = ranking if self.settings.unit_atoms else ranking[:, dead]
        k = min(gate.aux_k or max(1, batch.rows.shape[1] // 2), len(dead))
        chosen = top_k(ranking.abs() if signed else ranking, k).features
        F = batch.pre.shape[1]
        active = Active.of_indices(dead[chosen.long()].reshape(-1, k), F)
        values = self.values(active, batch)
        rebuilt = decoded(active, values if signed else values.relu(), self.parameters["W_dec"])
        loss = (residual - rebuilt).square().sum(1).mean()
        if gate.aux_scale == "residual":
            variance = (residual - residual.mean(0)).square().sum(1).mean()
            loss = loss / variance.clamp_min(torch.finfo(variance.dtype).tiny)
        return gate.aux_coefficient * loss

    @torch.no_grad()
    def _drop_radial_gradient(self) -> None:
        """Leave of the gradient of an atom what does not change its norm."""
        W_dec = self.parameters["W_dec"]
        gradient = W_dec.grad
        assert gradient is not None
        gradient.addcmul_(W_dec, (gradient * W_dec).sum(1, keepdim=True), value=-1)
