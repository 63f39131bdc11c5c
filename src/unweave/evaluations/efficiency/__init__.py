"""How large a dictionary is and what using it costs (ICA Lens, efficiency; arXiv 2606.11722).

Only what the same dictionary always gives is scored here: numbers that are stored, and floating-point operations of
the matrix products (a multiplication and an addition are two) that encode and decode a token. Seconds and memory of
the fit depend on the machine: `fit_costs` reads them from the records beside the fits, and they enter no score table.

`size_ratio` compares with a complete linear basis, 2 d^2 + d numbers: the paper's 7 to 43 times are this ratio for its
autoencoders, with ICA at 1. `decode` multiplies all codes; `active_decode_operations` is what a decoder needs that
touches those alone which are not zero.
"""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.evaluations.documents import Documents
from unweave.evaluations.evaluation import EvaluationData
from unweave.evaluations.intervals import ratio_interval, resampling_weights
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score

Floats = NDArray[np.float64]

MIB = 2**20


class Settings(Strict):
    """Settings of efficiency."""

    rows: Annotated[int, Field(ge=2)] = Field(default=256, description="tokens that are encoded, drawn by the seed")


def stored_numbers(dictionary: Dictionary) -> int:
    """Count the numbers in all tensors of a dictionary."""
    return sum(tensor.numel() for tensor in dictionary.tensors.values())


def stored_bytes(dictionary: Dictionary) -> int:
    """Bytes of all tensors of a dictionary."""
    return sum(tensor.numel() * tensor.element_size() for tensor in dictionary.tensors.values())


def operations(dictionary: Dictionary, x: Tensor) -> tuple[float, float, Floats]:
    """Operations per row of x (n, d) of encoding and of decoding, and the number (n,) of codes that are not zero.

    Matrix products are counted; solving, sorting and what is done to each number alone are not.
    """
    with FlopCounterMode(display=False) as encoding:
        codes = dictionary.encode(x)
    with FlopCounterMode(display=False) as decoding:
        dictionary.decode(codes, like=x)
    active: Floats = (codes != 0).sum(dim=1).double().cpu().numpy()
    return encoding.get_total_flops() / len(x), decoding.get_total_flops() / len(x), active


def evaluate(dictionary: Dictionary, data: EvaluationData, settings: Settings, seed: int) -> list[Score]:
    """Numbers and MiB stored, their ratio to a complete basis, and operations per token on the first corpus.

    Raises
    ------
    UnweaveError
        if the corpus has fewer rows than are to be encoded, or they are of one document.
    """
    name, corpus = next(iter(data.corpora.items()))
    n, d = corpus.activations.n, corpus.activations.d
    if n < settings.rows:
        raise UnweaveError(f"{name}: has {n} rows and {settings.rows} are to be encoded: use more text or fewer `rows`")
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[: settings.rows])
    x = torch.cat(list(corpus.activations.slices((row, row + 1) for row in drawn.tolist()))).to(data.device)
    numbers, features = stored_numbers(dictionary), dictionary.n_features
    encoding, decoding, active = operations(dictionary, x)
    # A decoder that multiplies nothing, such as that of raw dimensions, does not begin to for single codes.
    of_active = np.minimum(2 * dictionary.atoms.shape[1] * active, decoding)
    documents = Documents.of(corpus.tokens.docs[drawn])
    weights = resampling_weights(len(documents.indices), seed)
    return [
        _score("parameters", numbers, features, "numbers"),
        _score("parameter_size", stored_bytes(dictionary) / MIB, features, "MiB"),
        _score("size_ratio", numbers / (2 * d**2 + d), features, "1"),
        _score("encode_operations", encoding, len(x), "FLOP per token", name),
        _score("decode_operations", decoding, len(x), "FLOP per token", name),
        _score(
            "active_decode_operations",
            float(of_active.mean()),
            len(x),
            "FLOP per token",
            name,
            seed=seed,
            interval=ratio_interval(documents.sums(of_active), documents.lengths, weights),
        ),
    ]


def _score(
    metric: str,
    value: float,
    n: int,
    unit: str,
    dataset: str = "",
    seed: int = 0,
    interval: tuple[float, float] | None = None,
) -> Score:
    return Score(
        metric=metric,
        value=float(value),
        dataset=dataset,
        n=n,
        unit=unit,
        higher_is_better=False,
        ci_low=interval[0] if interval else None,
        ci_high=interval[1] if interval else None,
        seed=seed,
    )
