"""What a trained binary autoencoder does on rows: how many bits its codes hold, and how well they rebuild the rows."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unweave.activations.source import Activations
from unweave.methods.bae.dictionary import BinaryAutoencoder
from unweave.methods.bae.entropy import chow_liu_entropy, miller_madow_entropy, summed_entropy
from unweave.methods.bae.penalties import covariance_penalty, integer_product

DENSE = 0.5
"""Share of the rows above which a channel that is on counts as dense."""


def encoded(
    dictionary: BinaryAutoencoder, activations: Activations, size: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Codes (b, F) and rows (b, d) on the device, `size` of them at a time in stored order."""
    for block in activations.blocks(size):
        x = block.to(device)
        yield dictionary.encode(x), x


def channel_rates(dictionary: BinaryAutoencoder, activations: Activations, size: int, device: torch.device) -> Tensor:
    """Share (F,) of the rows in which each channel is on, float32."""
    counts = torch.zeros(dictionary.n_features, dtype=torch.int64, device=device)
    for codes, _ in encoded(dictionary, activations, size, device):
        counts += (codes > 0).sum(0)
    return (counts / activations.n).float()


def measured(
    dictionary: BinaryAutoencoder, activations: Activations, size: int, device: torch.device
) -> dict[str, Any]:
    """Entropies in bits beside the reconstruction error that they were reached at.

    `entropy_batch_mean` is what the released code reports: the mean over batches of the summed entropies of channels,
    a short last batch counting like the others; `covariance` is the mean over the same batches of the summed absolute
    covariances. The other entropies are those of all rows together: the sum over channels, its Miller-Madow
    correction, and the Chow-Liu bound. `rate` adds the further bits of active codes to the sum, where the decoder sees
    more than one bit. `fvu` is the squared error relative to the variance around the mean, `l0` the mean number of
    ones, and `l0_rare` the mean number of bits that are not the more frequent ones of their channels.
    """
    width, n = dictionary.n_features, activations.n
    joint = torch.zeros(width, width, device=device)
    entropies: list[float] = []
    covariances: list[float] = []
    error = 0.0
    total = squares = torch.zeros(activations.d, dtype=torch.float64, device=device)
    first: Tensor | None = None
    for codes, x in encoded(dictionary, activations, size, device):
        h = (codes > 0).float()
        counts = h.sum(0)
        bits = h.to(torch.int8)
        joint += integer_product(bits.T.contiguous(), bits)
        entropies.append(summed_entropy(counts, len(h)))
        if len(h) > 1:
            covariances.append(float(covariance_penalty(h, counts)[0]))
        error += float((dictionary.decode(codes) - x).square().sum(dtype=torch.float64))
        first = x[0] if first is None else first
        shifted = x - first
        total = total + shifted.sum(0, dtype=torch.float64)
        squares = squares + shifted.square().sum(0, dtype=torch.float64)
    variance = float((squares - total.square() / n).sum())
    counts = joint.diagonal()
    summed = summed_entropy(counts, n)
    l0 = float(counts.sum(dtype=torch.float64)) / n
    return {
        "rows": n,
        "fvu": error / variance if variance > 0 else None,
        "entropy_batch_mean": sum(entropies) / len(entropies),
        "entropy": summed,
        "entropy_miller_madow": miller_madow_entropy(counts, n),
        "entropy_chow_liu": chow_liu_entropy(joint, n),
        "covariance": sum(covariances) / len(covariances) if covariances else None,
        "rate": summed + l0 * (dictionary.options["bits"] - 1),
        "l0": l0,
        "l0_rare": float(torch.minimum(counts, n - counts).sum(dtype=torch.float64)) / n,
        "constant_channels": int(((counts == 0) | (counts == n)).sum()),
        "dense_channels": int((counts > DENSE * n).sum()),
    }
