"""Many small binary autoencoders, such as one for each position and layer, trained as one problem."""

import torch
from torch import Tensor

from unweave.activations.batches import Batches
from unweave.activations.memory import InMemoryActivations
from unweave.errors import UnweaveError
from unweave.methods.bae.estimate import finished, input_scale
from unweave.methods.bae.objective import BinaryAutoencoders
from unweave.methods.bae.settings import Settings
from unweave.methods.bae.split import split
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.training import train


@torch.no_grad()
def fit_many(
    x: Tensor, settings: Settings, seed: int, device: torch.device, checkpoint: Checkpoint = NOTHING_KEPT
) -> list[Fit]:
    """Fits of the G sets of activations x (G, n, d), each as `fit` would give it alone with this seed.

    All start from the same weights and see their rows in the same order. The sets are trained side by side, a step of
    one being a step of all, so that small matrices make large products; results agree with those of `fit` up to the
    order of summation.

    Raises
    ------
    UnweaveError
        if one of the sets cannot be fitted (the message says which), or gradients are to be clipped, which would be to
        a norm over all sets.
    """
    if settings.clip_norm is not None:
        raise UnweaveError(
            "clip_norm: several autoencoders at once have no common norm of the gradient: set it to null"
        )
    groups, n, d = x.shape
    sets = [InMemoryActivations(each) for each in x]
    scales = []
    for group, each in enumerate(sets):
        try:
            scales.append(input_scale(each, settings))
        except UnweaveError as error:
            raise UnweaveError(f"set {group} of {groups}: {error}") from None
    beside = InMemoryActivations(x.transpose(0, 1).reshape(n, groups * d))
    trained, _ = split(beside, settings.validation_fraction)
    batches = Batches(trained, settings.batch_size, seed, device, settings.memory_gb)
    steps = settings.steps_of(batches.per_epoch)
    objective = BinaryAutoencoders(d, torch.tensor(scales, device=device), settings, seed, steps)
    title = f"{groups} BAEs"
    history, points = train(objective, batches.starting_at, settings, title=title, checkpoint=checkpoint, steps=steps)
    fits = []
    for group, (parameters, scale, each) in enumerate(zip(objective.trained, scales, sets, strict=True)):
        dictionary, facts = finished(parameters, scale, each, settings, device)
        facts |= {"input_scale": scale, "steps": steps, "epochs": steps / batches.per_epoch}
        suffix = f".{group}" if groups > 1 else ""
        curves = {
            name.removesuffix(suffix): values
            for name, values in history.items()
            if ("." in name) == bool(suffix) and name.endswith(suffix)
        }
        fits.append(Fit(dictionary, facts, curves, points))
    return fits
