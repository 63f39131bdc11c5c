"""Fitting a Subspace-Aware SAE and saying what came of it."""

from typing import Any

import torch

from unweave.activations.batches import Batches
from unweave.activations.source import Activations
from unweave.errors import UnweaveError
from unweave.methods.checkpoint import NOTHING_KEPT, Checkpoint
from unweave.methods.dictionary import Fit
from unweave.methods.sae.initial import geometric_median
from unweave.methods.sae.scaling import checked_statistics
from unweave.methods.sasa.dictionary import SubspaceDictionary
from unweave.methods.sasa.layer_norm import prepared
from unweave.methods.sasa.nuclear import map_singular_values
from unweave.methods.sasa.objective import SubspaceObjective, initial_parameters
from unweave.methods.sasa.ranks import CodeCovariance, decoder_spectra, summary
from unweave.methods.sasa.settings import Settings
from unweave.methods.training import train

SAMPLE_ROWS = 20_000
"""Tokens that firing and code covariances are measured on."""
BLOCK_ROWS = 1000


def fit(
    activations: Activations,
    settings: Settings,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint = NOTHING_KEPT,
) -> Fit:
    """Fit a dictionary of K groups of r columns by Adam.

    Curves: loss and its parts, share of variance explained (fve), share of dead groups and mean number of active
    groups, each of single batches. Diagnostics: the weight of the penalty, the groups that were silent on 20,000 tokens
    from all over the data, and how many dimensions groups use: by singular values of the decoder, by those of the map
    of each group (decoder times encoder), and by the covariance of its codes where it is active.

    Raises
    ------
    UnweaveError
        if rows have a single coordinate and layer_norm is on, there are fewer rows than one batch, rows are not finite
        or all equal, or the loss becomes infinite.
    """
    if settings.layer_norm and activations.d < 2:
        raise UnweaveError("layer_norm needs activations of 2 dimensions or more: set it to false")
    checked_statistics(activations)
    parameters = initial_parameters(activations.d, settings, seed, device)
    batches = Batches(activations, settings.batch_size, seed, device, settings.memory_gb)
    if settings.initial_bias == "geometric_median":
        first = prepared(next(batches.starting_at(0)).x, layer_norm=settings.layer_norm)
        parameters["decoder_bias"] = geometric_median(first.x)
    objective = SubspaceObjective(parameters, settings)
    history, steps = train(objective, batches.starting_at, settings, title="SASA", checkpoint=checkpoint)
    dictionary = objective.dictionary()
    diagnostics = {"penalty_weight": float(objective.state["penalty_weight"])}
    diagnostics |= measured(dictionary, activations, device)
    return Fit(dictionary, diagnostics, history, steps)


@torch.no_grad()
def measured(dictionary: SubspaceDictionary, activations: Activations, device: torch.device) -> dict[str, Any]:
    """Measure firing and ranks of the groups of a fitted dictionary, as JSON-able facts."""
    r = dictionary.traits.group_size
    encoder, decoder = (dictionary.tensors[name].reshape(-1, r, activations.d) for name in ("encoder", "decoder"))
    covariance = CodeCovariance.empty(len(decoder), r, device)
    rows = 0
    for block in activations.slices(_sample(activations.n)):
        covariance.add(dictionary.encode(block.to(device)))
        rows += len(block)
    spectra, alive = covariance.spectra()
    silent = (covariance.counts == 0).nonzero()[:, 0]
    return {
        "sampled_tokens": rows,
        "active_groups": float(covariance.counts.sum()) / rows,
        "dead_groups": len(silent),
        "dead_share": len(silent) / len(decoder),
        "alive_groups": int(alive.sum()),
        "decoder_rank": summary(decoder_spectra(decoder)),
        "map_rank": summary(map_singular_values(encoder, decoder).square()),
        "code_rank": summary(spectra),
    }


def _sample(n: int) -> list[tuple[int, int]]:
    """Blocks of rows from all over the data, about 20,000 rows in all."""
    count = min(SAMPLE_ROWS // BLOCK_ROWS, -(-n // BLOCK_ROWS))
    starts = [n * i // count for i in range(count)]
    return [(start, min(start + BLOCK_ROWS, n)) for start in starts]
