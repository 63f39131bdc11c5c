"""The methods and evaluations on activations of your own, without the workflow.

    import torch
    from unweave.library import evaluate, fit

    x = torch.randn(2000, 32) @ torch.randn(32, 32)
    dictionary = fit(x, "ica", iterations=20)
    codes = dictionary.encode(x)
    evaluate(dictionary, x, "reconstruction", k=[1, 8])[["metric", "x", "value"]]

`unweave.methods.dictionary.load` reads what the workflow fitted.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.activations.memory import InMemoryActivations
from unweave.activations.store import StoredTokens
from unweave.config import Site, validated
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import EvaluationData, evaluation_module
from unweave.methods.checkpoint import NOTHING_KEPT
from unweave.methods.dictionary import Dictionary
from unweave.methods.fit import method_module
from unweave.models.hook_points import HookPoint, capture
from unweave.models.language_model import load_language_model

if TYPE_CHECKING:
    import pandas as pd

CPU = torch.device("cpu")


@dataclass(frozen=True)
class InMemoryCorpus:
    """Activations (n, d) with what is known of their tokens; every row is a document of its own if nothing is."""

    activations: InMemoryActivations
    tokens: StoredTokens
    texts: Sequence[str] = ()
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    splits: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    label_names: Sequence[str] = ()


@dataclass(frozen=True)
class EncodedText:
    """Codes of the tokens of one text."""

    tokens: list[str]
    codes: Tensor
    """(T, F)"""


def fit(x: Tensor, method: str, *, seed: int = 0, device: torch.device = CPU, **settings: Any) -> Dictionary:
    """Fit a method (a module of unweave.methods, such as "ica") to activations x (n, d) with its settings by name.

    Raises
    ------
    UnweaveError
        if the method or a setting is unknown, or x cannot be decomposed.
    """
    module = method_module(method)
    checked = validated(module.Settings, settings, f"settings of {method}")
    dictionary: Dictionary = module.fit(InMemoryActivations(x), checked, seed, device, NOTHING_KEPT).dictionary
    return dictionary


def evaluate(
    dictionary: Dictionary,
    x: Tensor,
    evaluation: str,
    *,
    documents: Sequence[int] | None = None,
    seed: int = 0,
    device: torch.device = CPU,
    **settings: Any,
) -> "pd.DataFrame":
    """Run an evaluation that needs activations x (n, d) alone, such as "reconstruction"; a row is one score.

    `documents` (n,) says which rows belong together: intervals resample documents. Evaluations of texts, labels or the
    model itself need a run of the workflow.

    Raises
    ------
    UnweaveError
        if the evaluation or a setting is unknown, or it needs more than activations.
    """
    import pandas as pd

    module = evaluation_module(evaluation)
    checked = validated(module.Settings, settings, f"settings of {evaluation}")
    rows = np.arange(len(x)) if documents is None else np.asarray(documents)
    nothing = np.zeros(len(x), dtype=np.int64)
    corpus = InMemoryCorpus(InMemoryActivations(x), StoredTokens(nothing, rows, nothing))
    data = EvaluationData("resid", 0, device, Path("no model"), {"x": corpus})
    try:
        with torch.inference_mode():
            scores = module.evaluate(dictionary.to(device), data, checked, seed)
    except (IndexError, OSError) as error:
        raise UnweaveError(f"{evaluation}: needs more than activations ({error}): run it in the workflow") from None
    return pd.DataFrame([asdict(score) for score in scores])


def encode_text(
    dictionary: Dictionary, model_folder: Path, text: str, *, site: Site, layer: int, device: torch.device = CPU
) -> EncodedText:
    """Codes of each token of a text at one site and layer of a model that the workflow prepared.

    Raises
    ------
    UnweaveError
        if the folder holds no prepared model, or the dictionary is of another width than the site.
    """
    language_model = load_language_model(model_folder, torch.float32, device)
    ids = language_model.tokenizer(text, return_tensors="pt")["input_ids"]
    point = HookPoint(site, layer)
    with torch.inference_mode(), capture(language_model.model, [point]) as activations:
        language_model.model.base_model(input_ids=ids.to(device), use_cache=False)
    x = activations[point][0].float()
    if x.shape[1] != (
        expected := (dictionary.readers if dictionary.readers is not None else dictionary.atoms).shape[1]
    ):
        raise UnweaveError(f"{site} at layer {layer}: has {x.shape[1]} dimensions, the dictionary reads {expected}")
    tokens = language_model.tokenizer.convert_ids_to_tokens(ids[0].tolist())
    with torch.inference_mode():
        return EncodedText(list(tokens), dictionary.to(device).encode(x))
