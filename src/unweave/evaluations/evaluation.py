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
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.activations.source import Activations
from unweave.activations.store import StoredTokens
from unweave.config import Strict
from unweave.errors import UnweaveError
from unweave.methods.dictionary import Curve, Dictionary
from unweave.results.scores import Score


class Corpus(Protocol):
    """Activations of one corpus at one layer, with their tokens and documents. Everything is read when asked for."""

    @property
    def activations(self) -> Activations:
        """Rows of one layer; their `targets` are the same tokens at the site that a transcoder rebuilds."""

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


class Refit(Protocol):
    """Fits the dictionary's own method again, with its own settings, on other rows or from another seed."""

    def __call__(self, activations: Activations, replaced: Mapping[str, Any], seed_offset: int = 0) -> Dictionary:
        """Fit `activations` and return the dictionary on the device of the evaluation.

        `seed_offset` is added to its own seed. `replaced` are settings that take other values, where the method has
        them; `a.b` is the setting b within a.

        Raises
        ------
        UnweaveError
            if the method cannot be fitted to these rows.
        """


@dataclass(frozen=True)
class EvaluationData:
    """What a dictionary is evaluated on."""

    site: str
    layer: int
    device: torch.device
    model_folder: Path
    corpora: Mapping[str, Corpus]
    """In the order of the configuration."""
    refit: Refit | None = None
    """None where it is not known how the dictionary was fitted."""
    curves: Callable[[], Mapping[str, Curve]] = dict
    """Reads what the fit recorded while it went on; empty where it recorded nothing."""


def target_of(dictionary: Dictionary, name: str, corpus: Corpus) -> Activations:
    """Find what decoding is to rebuild on corpus `name`: its activations, or those of the site of a transcoder.

    Raises
    ------
    UnweaveError
        if the corpus lacks the activations of that site.
    """
    writes = dictionary.traits.writes
    if writes is None:
        return corpus.activations
    targets = corpus.activations.targets
    if targets is None or targets.site != writes:
        found = "none" if targets is None else targets.site
        raise UnweaveError(
            f"{name}: the dictionary rebuilds {writes}, whose activations are needed too (found: {found}): harvest "
            f"site {writes} of {name}"
        )
    return targets


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
