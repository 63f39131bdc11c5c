"""The one interface of all evaluations.

An evaluation is a module of this package with a pydantic `Settings` and
`evaluate(dictionary, data, settings, seed) -> list[Score]`; it is named by one entry of config/evaluations.yaml.
It may ask for a trait of the dictionary, never for a method's name. Every score is computed from all rows that the
corpora hold unless a setting says how many are taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.activations.source import Activations
from unweave.activations.store import StoredTokens
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.dictionary import Dictionary
from unweave.results.scores import Score


class Corpus(Protocol):
    """Activations of one corpus at one layer, with their tokens and documents. Everything is read when asked for."""

    @property
    def activations(self) -> Activations:
        """Rows of one layer."""

    @property
    def tokens(self) -> StoredTokens:
        """Token, document and position of each row."""

    @property
    def texts(self) -> Sequence[str]:
        """By row of the document in its data set."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """By row of the document; -1 where unlabelled."""

    @property
    def splits(self) -> NDArray[np.str_]:
        """`train` or `test`, by row of the document."""

    @property
    def label_names(self) -> Sequence[str]:
        """Class names in label order; empty for unlabelled text."""


@dataclass(frozen=True)
class EvaluationData:
    """What a dictionary is evaluated on."""

    site: str
    layer: int
    device: torch.device
    model_folder: Path
    corpora: Mapping[str, Corpus]
    """In the order of the configuration."""


class Evaluation(Protocol):
    """A module of this package."""

    __name__: str
    Settings: type[Strict]
    evaluate: Callable[[Dictionary, EvaluationData, Strict, int], list[Score]]


def evaluation_module(name: str) -> Evaluation:
    """Find the module of an evaluation.

    Raises
    ------
    UnweaveError
        if there is none of that name.
    """
    path = f"unweave.evaluations.{name}"
    if find_spec(path) is None or not hasattr(module := import_module(path), "evaluate"):
        raise UnweaveError(
            f"unknown evaluation {name!r}: there is no src/unweave/evaluations/{name}.py with `evaluate`"
        )
    return cast(Evaluation, module)
