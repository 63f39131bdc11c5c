"""Training of one binary autoencoder, and what becomes a dictionary of it."""

from typing import Any

import torch

from unweave.activations.batches import Batches
from unweave.activations.source import Activations
from unweave.methods.bae.dictionary import BinaryAutoencoder
from unweave.methods.bae.measure import channel_rates, encoded, measured
from unweave.methods.bae.model import Parameters
from unweave.methods.bae.objective import BinaryAutoencoders
from unweave.methods.bae.refit import ridge_decoder
from unweave.methods.bae.settings import Settings
from unweave.methods.bae.split import joint_scale, split
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.training import train


def input_scale(activations: Activations, settings: Settings) -> float:
    """Return what activations are divided by before they are encoded; they are checked also where that is 1.

    Raises
    ------
    UnweaveError
        if a number is NaN or infinite, or all rows are equal.
    """
    scale = joint_scale(activations)
    return scale if settings.inputs == "unit_variance" else 1.0


def finished(
    parameters: Parameters, scale: float, activations: Activations, settings: Settings, device: torch.device
) -> tuple[BinaryAutoencoder, dict[str, Any]]:
    """Make a dictionary of parameters trained on activations divided by `scale`, and measure it on the held-out part.

    The scale goes into the weights, so that the dictionary reads and writes activations as they are.
    """
    trained, held_out = split(activations, settings.validation_fraction)
    weights = {
        "encoder": parameters.encoder / scale,
        "encoder_bias": parameters.encoder_bias.clone(),
        "atoms": parameters.atoms * scale,
        "decoder_bias": parameters.decoder_bias * scale,
    }
    dictionary = BinaryAutoencoder.build(weights, settings.decode_bits)
    tensors = dictionary.tensors
    if settings.refit_decoder:
        pairs = encoded(dictionary, trained, settings.batch_size, device)
        tensors["atoms"], tensors["decoder_bias"] = ridge_decoder(pairs, settings.refit_ridge)
    tensors["rates"] = channel_rates(dictionary, activations, settings.batch_size, device)
    return dictionary, measured(dictionary, held_out, settings.batch_size, device)


@torch.no_grad()
def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Fit:
    """Train on the first rows and measure entropy and reconstruction on the last ones (see `measured`).

    Raises
    ------
    UnweaveError
        if there are fewer training rows than a batch, a number is not finite, all rows are equal, or training diverges.
    """
    trained, _ = split(activations, settings.validation_fraction)
    batches = Batches(trained, settings.batch_size, seed, device, settings.memory_gb)
    scale = input_scale(activations, settings)
    steps = settings.steps_of(batches.per_epoch)
    objective = BinaryAutoencoders(activations.d, torch.tensor([scale], device=device), settings, seed, steps)
    history, points = train(objective, batches.starting_at, settings, title="BAE", checkpoint=checkpoint, steps=steps)
    dictionary, facts = finished(objective.trained[0], scale, activations, settings, device)
    facts |= {"input_scale": scale, "steps": steps, "epochs": steps / batches.per_epoch}
    return Fit(dictionary, facts, history, points)
