"""Training a sparse autoencoder or transcoder, and making a dictionary of it."""

from typing import Any

import torch
from torch import Tensor

from unweave.activations.batches import Batches
from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit, Traits
from unweave.methods.sae.dictionary import SparseAutoencoder
from unweave.methods.sae.initial import initial_weights
from unweave.methods.sae.objective import SparseAutoencoderObjective
from unweave.methods.sae.scaling import Scaling, folded, norm_scale
from unweave.methods.sae.settings import BatchTopK, Gated, JumpReLU, ReLU, Settings, TopK
from unweave.methods.sae.variants import OBJECTIVES
from unweave.methods.training import train

TITLES = {TopK: "TopK SAE", BatchTopK: "BatchTopK SAE", ReLU: "ReLU SAE", JumpReLU: "JumpReLU SAE", Gated: "Gated SAE"}
JUDGED_ROWS = 8192
"""Rows on which the finished dictionary is described."""


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Fit:
    """Train on batches of `activations` and return a dictionary that acts on them as they are.

    The scale of the input and the norms of the atoms are folded into the weights. A gate of BatchTopK becomes one
    threshold on its codes. Diagnostics describe the finished dictionary on the first 8192 rows: `fve` (fraction of
    variance explained), `l0` and `unused` (share of latents active on none of them). `dead` is the share of latents
    that were not active on the last `dead_after_tokens` tokens of training, and `sparse_kernels` whether the last step
    touched active pairs only.

    Raises
    ------
    UnweaveError
        if there are fewer latents than are to be active, fewer rows than one batch, rows that are not finite or all
        equal, no targets for a transcoder, or the training diverges.
    """
    targets = _targets(activations, settings)
    F = settings.n_features or round(settings.expansion * activations.d)
    _check_sizes(settings, F)
    scaling = _scaling(activations, targets, settings)
    batches = Batches(activations, settings.batch_size, seed, device, settings.memory_gb, targets)
    first = scaling(next(batches.starting_at(0)))
    weights = initial_weights(
        first.target,
        F,
        activations.d,
        norm=1.0 if settings.unit_atoms else settings.initial_norm,
        b_dec=settings.b_dec_start,
        tied=targets is None,
        seed=seed,
    )
    objective = OBJECTIVES[type(settings.gate)](weights, settings, settings.gate, scaling)
    history: dict[str, list[float]] = {}
    points: list[int] = []
    if settings.trained:
        title = TITLES[type(settings.gate)] if targets is None else "Transcoder"
        history, points = train(objective, batches.starting_at, settings, title=title, checkpoint=checkpoint)
        objective.after_training(batches.starting_at(settings.steps))
    dictionary = dictionary_of(objective, activations, targets)
    diagnostics = {
        **_described(dictionary, activations, targets, device),
        "n_features": F,
        "steps": settings.steps if settings.trained else 0,
        "input_scale": scaling.read,
        "dead": float(objective.dead.float().mean()),
    }
    if history:
        diagnostics["sparse_kernels"] = bool(history["sparse_kernels"][-1])
    return Fit(dictionary, diagnostics, history, points or None)


def _targets(activations: Activations, settings: Settings) -> Activations | None:
    if not settings.target:
        return None
    if activations.targets is None:
        raise UnweaveError(
            "target: a transcoder needs the same tokens at another site, and there are none: name a target site, or "
            "set target to false"
        )
    return activations.targets


def _check_sizes(settings: Settings, n_features: int) -> None:
    gate = settings.gate
    if isinstance(gate, TopK | BatchTopK) and gate.k > n_features:
        raise UnweaveError(
            f"gate.k: {gate.k} active latents of {n_features}: lower k, or raise expansion or n_features"
        )


def _scaling(activations: Activations, targets: Activations | None, settings: Settings) -> Scaling:
    read = norm_scale(activations)
    rebuilt = read if targets is None else norm_scale(targets)
    if settings.input_scaling == "expected_average_only_in":
        return Scaling(read, rebuilt)
    return Scaling(layer_norm=settings.input_scaling == "layer_norm")


@torch.no_grad()
def dictionary_of(
    objective: SparseAutoencoderObjective[Any], activations: Activations, targets: Activations | None
) -> SparseAutoencoder:
    """Make a dictionary of the present weights of `objective` that acts on activations as they are."""
    settings, gate = objective.settings, objective.gate
    weights = {name: tensor.detach() for name, tensor in objective.parameters.items()}
    options: dict[str, Any] = {"gate": gate.kind}
    if isinstance(gate, TopK):
        options = {"gate": "signed_topk" if gate.signed else "topk", "k": gate.k}
    if isinstance(gate, BatchTopK):
        weights["threshold"] = (
            objective.state["threshold"].clamp_min(0).to(weights["b_enc"].dtype).expand_as(weights["b_enc"])
        )
    if isinstance(gate, BatchTopK | JumpReLU):
        options = {"gate": "threshold"}
    tensors = folded(
        weights,
        objective.scaling,
        centred=settings.centred,
        thresholds_follow_norms=isinstance(gate, JumpReLU),
    )
    traits = Traits(
        signed=isinstance(gate, TopK) and gate.signed,
        linear=False,
        normalisation="layer_norm" if objective.scaling.layer_norm else "none",
        writes=None if targets is None else targets.site,
    )
    dictionary = SparseAutoencoder(tensors, traits, options)
    if isinstance(gate, ReLU) and gate.standardised:
        mean, std = _code_moments(dictionary, activations)
        dictionary.tensors |= {"strength_mean": mean, "strength_std": std}
    return dictionary


def _code_moments(dictionary: SparseAutoencoder, activations: Activations) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (F,) of the codes over all rows."""
    device = dictionary.atoms.device
    total = torch.zeros(dictionary.n_features, dtype=torch.float64, device=device)
    squares = torch.zeros_like(total)
    for block in activations.blocks(2048):
        codes = dictionary.encode(block.to(device))
        total += codes.sum(0, dtype=torch.float64)
        squares += codes.square().sum(0, dtype=torch.float64)
    mean = total / activations.n
    std = (squares / activations.n - mean.square()).clamp_min(0).sqrt()
    return mean.float(), std.float()


@torch.no_grad()
def _described(
    dictionary: SparseAutoencoder, activations: Activations, targets: Activations | None, device: torch.device
) -> dict[str, float]:
    rows = min(JUDGED_ROWS, activations.n)
    ranges = [(start, min(start + 1024, rows)) for start in range(0, rows, 1024)]
    wanted = torch.cat(list((targets or activations).slices(ranges))).to(device)
    error = torch.zeros((), dtype=torch.float64, device=device)
    active = torch.zeros(dictionary.n_features, dtype=torch.int64, device=device)
    for (start, stop), block in zip(ranges, activations.slices(ranges), strict=True):
        x = block.to(device)
        codes = dictionary.encode(x)
        active += torch.count_nonzero(codes, dim=0)
        error += (wanted[start:stop] - dictionary.decode(codes, like=x)).double().square().sum()
    variance = (wanted.double() - wanted.double().mean(0)).square().sum()
    return {
        "fve": float(1 - error / variance),
        "l0": float(active.sum()) / rows,
        "unused": float((active == 0).float().mean()),
    }
