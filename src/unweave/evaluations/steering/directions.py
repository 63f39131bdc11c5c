"""What a feature adds to the residual stream after its block."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from unweave.errors import UnweaveError
from unweave.methods.dictionary import Dictionary
from unweave.models.hook_points import HookPoint, capture, replaced

VOCABULARY = 25
"""Tokens that a direction raises most."""


def drawn_features(dictionary: Dictionary, n: int, rng: np.random.Generator) -> Tensor:
    """Draw `n` features (F,), all where there are fewer, whose atoms are not zero, in ascending order.

    Raises
    ------
    UnweaveError
        if fewer than two atoms are not zero.
    """
    with_length = np.flatnonzero((dictionary.atoms.norm(dim=1) > 0).cpu().numpy())
    if len(with_length) < 2:
        raise UnweaveError(
            f"{len(with_length)} atoms are not zero, two are needed: leave this evaluation out for this dictionary"
        )
    return torch.from_numpy(np.sort(rng.permutation(with_length)[:n])).to(dictionary.atoms.device)


def random_like(directions: Tensor, rng: np.random.Generator) -> Tensor:
    """Random unit directions of the same number and width (F, d), where the others are."""
    return normalize(torch.from_numpy(rng.standard_normal(tuple(directions.shape))).float()).to(directions.device)


def in_residual_stream(model: PreTrainedModel, site: str, layer: int, atoms: Tensor) -> Tensor:
    """Turn atoms (F, width) at `site` of block `layer` into the unit directions (F, d) that they add to the stream.

    What a module writes is added to the stream, so its atoms are directions of the stream as they are; atoms of MLP
    neurons go through the MLP's output projection first (Semi-NMF, Section 4.2).

    Raises
    ------
    UnweaveError
        at a site that writes nothing to the stream.
    """
    if site in ("resid", "mlp_out", "attn_out"):
        return normalize(atoms)
    if site == "mlp_neurons":
        written = _written(model, layer, torch.cat([atoms, torch.zeros_like(atoms[:1])]))
        return normalize(written[:-1] - written[-1])
    raise UnweaveError(f"{site}: adding to it writes nothing to the residual stream: steer at another site")


def _written(model: PreTrainedModel, layer: int, neurons: Tensor) -> Tensor:
    """Run the MLP of a block on given activations (n, d_mlp) of its neurons: (n, d)."""
    point = HookPoint("mlp_out", layer)
    ids = torch.zeros(1, len(neurons), dtype=torch.long, device=neurons.device)
    given = replaced(model, HookPoint("mlp_neurons", layer), neurons[None].to(model.dtype))
    with given, capture(model, [point]) as found:
        model(input_ids=ids, use_cache=False)
    return found[point][0].float()


def raised_tokens(model: PreTrainedModel, directions: Tensor) -> Tensor:
    """Tokens (F, VOCABULARY) whose unembeddings have the largest product with the directions (F, d)."""
    unembedding: Tensor = model.get_output_embeddings().weight  # type: ignore[no-untyped-call]
    tokens: Tensor = (
        (directions.to(unembedding.dtype) @ unembedding.T).topk(min(VOCABULARY, len(unembedding) // 2), dim=1).indices
    )
    return tokens
