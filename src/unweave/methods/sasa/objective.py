"""One training step of a Subspace-Aware SAE: its losses and their gradients, without automatic differentiation.

Only the product that finds the active groups touches all B x F codes. The gate is constant under differentiation, so
everything else needs the B s r active ones alone (see `sparse_kernels`).
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from unweave.activations.batches import Batch
from unweave.activations.store import is_finite
from unweave.errors import UnweaveError
from unweave.methods.sasa.auxiliary import (
    AuxiliaryLoss,
    dead_columns_loss,
    dead_groups_loss,
    silence_state,
    watch_silence,
    watch_window,
    window_state,
)
from unweave.methods.sasa.dictionary import SubspaceDictionary
from unweave.methods.sasa.gates import batch_top_s, group_firings, top_s
from unweave.methods.sasa.layer_norm import Rows, prepared
from unweave.methods.sasa.nuclear import decoder_nuclear, product_nuclear
from unweave.methods.sasa.settings import Settings
from unweave.methods.sparse_kernels import Active, feature_sums, outer_sums, products, weighted_sums
from unweave.methods.training import Objective


def initial_parameters(d: int, settings: Settings, seed: int, device: torch.device) -> dict[str, Tensor]:
    """Uniform random decoder rows (F, d) scaled to one norm, an encoder equal to the decoder, and biases of zero."""
    generator = torch.Generator().manual_seed(seed)
    directions = 2 * torch.rand(settings.features, d, generator=generator) - 1
    decoder = settings.initial_norm * torch.nn.functional.normalize(directions)
    parameters = {"encoder": decoder.clone(), "decoder": decoder}
    if settings.biases != "none":
        parameters["decoder_bias"] = torch.zeros(d)
    if settings.biases == "both":
        parameters["encoder_bias"] = torch.zeros(settings.features)
    return {name: tensor.to(device) for name, tensor in parameters.items()}


class SubspaceObjective(Objective[Batch]):
    """Reconstruction error, nuclear norm and auxiliary loss of a Subspace-Aware SAE.

    loss = mean over tokens of ||x - x_hat||^2 (summed over d) + weight of the penalty times the nuclear norms + weight
    of the auxiliary loss times it. Nothing is divided by the variance: the weights belong to one scale of activations.

    Parameters are those of `initial_parameters`. State: which groups are `dead` and what that is judged from; `weight`
    and last `value` of the penalty; with a batch gate the `threshold` of inference.
    """

    def __init__(self, parameters: dict[str, Tensor], settings: Settings) -> None:
        device = parameters["decoder"].device
        state = {
            "penalty_weight": torch.zeros((), dtype=torch.float64, device=device),
            "penalty": torch.zeros((), dtype=torch.float64, device=device),
        }
        if settings.auxiliary == "dead_columns":
            state |= silence_state(settings.groups, device)
        else:
            state |= window_state(settings.groups, device)
        if settings.gate == "batch_top_s":
            state["threshold"] = torch.zeros(1, device=device)
        super().__init__(parameters, state)
        self.settings = settings
        self.after_update(-1)

    @override
    @torch.no_grad()
    def backward(self, batch: Batch, step: int) -> Mapping[str, Tensor | float]:
        settings, parameters = self.settings, self.parameters
        if not is_finite(batch.x):
            raise UnweaveError("NaN or infinite activations: drop the rows that hold them, or harvest them again")
        E, D, bias = parameters["encoder"], parameters["decoder"], parameters.get("decoder_bias")
        rows = prepared(batch.x, layer_norm=settings.layer_norm)
        centred = rows.x if bias is None else rows.x - bias
        before = self._codes_before_gate(centred)
        active = self._active(before, step)
        values = self._active_codes(active, before, centred)

        y = weighted_sums(active, values, D)
        if bias is not None:
            y += bias
        goal = rows if settings.loss_scale == "raw" else prepared(rows.x, layer_norm=False)
        target = batch.x if settings.loss_scale == "raw" else rows.x
        residual = target - goal.restored(y)
        reconstruction = residual.square().sum(dtype=torch.float64) / len(residual)

        to_y = (-2 / len(residual)) * goal.scale * residual
        to_values = products(active, to_y, D)
        to_codes = feature_sums(active, to_values)
        to_output = to_y.sum(0)
        E.grad = outer_sums(active, to_values, centred)
        D.grad = outer_sums(active, values, to_y)

        dead = self.state["dead"].nonzero()[:, 0]
        auxiliary = self._auxiliary(dead, residual, before, centred, goal)
        if auxiliary is not None:
            columns = self._columns(dead)
            E.grad.index_add_(0, columns, auxiliary.to_encoder)
            D.grad.index_add_(0, columns, auxiliary.to_decoder)
            to_codes.index_add_(0, columns, auxiliary.to_codes)
            if settings.auxiliary_offset:
                to_output = to_output + auxiliary.to_output
        auxiliary_value = torch.zeros_like(reconstruction) if auxiliary is None else auxiliary.value
        if bias is not None:
            bias.grad = to_output - to_codes @ E
        if "encoder_bias" in parameters:
            parameters["encoder_bias"].grad = to_codes
        penalty = self._penalise(step, reconstruction)
        self._watch(active)

        spread = (target - target.mean(0)).square().sum(dtype=torch.float64) / len(target)
        return {
            "loss": reconstruction + auxiliary_value + penalty,
            "reconstruction": reconstruction,
            "auxiliary": auxiliary_value,
            "penalty": penalty,
            "fve": 1 - reconstruction / spread,
            "dead_share": len(dead) / settings.groups,
            "active_groups": active.count / settings.group_size / len(target),
        }

    @override
    @torch.no_grad()
    def after_update(self, step: int) -> None:
        if self.settings.unit_encoder_rows:
            _scale_to_unit_rows(self.parameters["encoder"])
        if self.settings.unit_decoder_rows:
            _scale_to_unit_rows(self.parameters["decoder"])

    def dictionary(self) -> SubspaceDictionary:
        """Return the dictionary of the present parameters."""
        parameters = {name: tensor.detach() for name, tensor in self.parameters.items()}
        F, d = parameters["decoder"].shape
        zeros = parameters["decoder"].new_zeros
        tensors = {"encoder_bias": zeros(F), "decoder_bias": zeros(d)} | parameters
        if "threshold" in self.state:
            tensors["threshold"] = self.state["threshold"]
        return SubspaceDictionary.build(
            tensors,
            group_size=self.settings.group_size,
            active_groups=self.settings.active_groups if self.settings.gate == "top_s" else None,
            layer_norm=self.settings.layer_norm,
        )

    def _codes_before_gate(self, centred: Tensor) -> Tensor:
        dtype = getattr(torch, self.settings.precision)
        codes = centred.to(dtype) @ self.parameters["encoder"].to(dtype).T
        encoder_bias = self.parameters.get("encoder_bias")
        return codes if encoder_bias is None else codes.add_(encoder_bias.to(dtype))

    def _active(self, before: Tensor, step: int) -> Active:
        settings = self.settings
        if settings.gate == "top_s":
            return top_s(before, settings.group_size, settings.active_groups)
        active, smallest = batch_top_s(before, settings.group_size, settings.active_groups)
        rate = settings.threshold_rate if step else 1.0
        self.state["threshold"].lerp_(smallest.to(self.state["threshold"]), rate)
        return active

    def _active_codes(self, active: Active, before: Tensor, centred: Tensor) -> Tensor:
        if before.dtype == centred.dtype:
            return active.gathered(before)
        values = products(active, centred, self.parameters["encoder"])
        encoder_bias = self.parameters.get("encoder_bias")
        return values if encoder_bias is None else values + encoder_bias[active.features]

    def _columns(self, groups: Tensor) -> Tensor:
        size = self.settings.group_size
        return (groups[:, None] * size + torch.arange(size, device=groups.device)).flatten()

    def _auxiliary(
        self, dead: Tensor, residual: Tensor, before: Tensor, centred: Tensor, goal: Rows
    ) -> AuxiliaryLoss | None:
        settings = self.settings
        if settings.auxiliary == "none" or len(dead) == 0:
            return None
        columns = self._columns(dead)
        D = self.parameters["decoder"][columns]
        units, weight = settings.auxiliary_units, settings.auxiliary_weight
        if settings.auxiliary == "dead_groups":
            E = self.parameters["encoder"][columns]
            return dead_groups_loss(residual, E, D, settings.group_size, units, weight)
        offset: Tensor | float = 0.0
        if settings.auxiliary_offset:
            offset = goal.restored(self.parameters.get("decoder_bias", torch.zeros_like(residual[0])))
        codes = before[:, columns].to(centred.dtype)
        return dead_columns_loss(residual, codes, centred, D, goal.scale, offset, units, weight)

    def _penalise(self, step: int, reconstruction: Tensor) -> Tensor:
        """Add the gradient of the penalty where its turn is, and return its weighted value as of then."""
        settings, state = self.settings, self.state
        if settings.penalty == "none" or step % settings.penalty_every:
            return state["penalty"].clone()
        shape = (settings.groups, settings.group_size, -1)
        E, D = self.parameters["encoder"], self.parameters["decoder"]
        if settings.penalty == "product":
            norms, to_encoder, to_decoder = product_nuclear(E.view(shape), D.view(shape))
            value, share = norms.sum(), 1.0
        else:
            norms, to_decoder = decoder_nuclear(D.view(shape))
            value, share = norms.mean(), 1 / settings.groups
        if step == 0:
            if settings.penalty_weight is None:
                state["penalty_weight"].copy_(settings.penalty_ratio * reconstruction / value)
            else:
                state["penalty_weight"].fill_(settings.penalty_weight)
        factor = settings.penalty_every * share * float(state["penalty_weight"])
        assert D.grad is not None
        assert E.grad is not None
        D.grad.view(shape).add_(to_decoder, alpha=factor)
        if settings.penalty == "product":
            E.grad.view(shape).add_(to_encoder, alpha=factor)
        state["penalty"].copy_(state["penalty_weight"] * value)
        return state["penalty"].clone()

    def _watch(self, active: Active) -> None:
        settings = self.settings
        firings = group_firings(active, settings.group_size)
        if settings.auxiliary == "dead_columns":
            watch_silence(self.state, firings, settings.dead_window)
        else:
            watch_window(self.state, firings, active.n_rows, settings.dead_window, settings.dead_frequency)


def _scale_to_unit_rows(matrix: Tensor) -> None:
    matrix.div_(matrix.norm(dim=1, keepdim=True).clamp_min(torch.finfo(matrix.dtype).tiny))
