"""The stage that evaluates one dictionary: stored files in, one score table out."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from unweave.activations.source import Activations
from unweave.activations.store import StoredActivations, StoredTokens, read_tokens, require_harvested_from
from unweave.config import EvaluationEntry, validated
from unweave.errors import UnweaveError
from unweave.evaluations.evaluation import Corpus, EvaluationData, Refit, evaluation_module
from unweave.files import MANIFEST, sha256_of_json
from unweave.fingerprint import fingerprint
from unweave.methods import dictionary as dictionaries
from unweave.methods.dictionary import Dictionary, Fit
from unweave.methods.fit import method_module
from unweave.results import scores

if TYPE_CHECKING:
    import datasets


class StoredCorpus:
    """One layer of an activation file with the data set that it was harvested from.

    `target_path` is the activation file of the site that a transcoder rebuilds.
    """

    def __init__(
        self, activation_path: Path, dataset_folder: Path, layer: int, target_path: Path | None = None
    ) -> None:
        self._activation_path = activation_path
        self._dataset_folder = dataset_folder
        self._layer = layer
        self._target_path = target_path

    @cached_property
    def activations(self) -> Activations:
        """Rows of the layer, with their targets if there are any."""
        activations = StoredActivations(self._activation_path, self._layer)
        if self._target_path is not None:
            activations.targets = self._targets(self._target_path)
        return activations

    def _targets(self, path: Path) -> Activations:
        tokens = read_tokens(path)
        for name in ("ids", "docs", "positions"):
            if not np.array_equal(getattr(tokens, name), getattr(self.tokens, name)):
                raise UnweaveError(
                    f"{path}: does not hold the tokens of {self._activation_path}: delete both and run again"
                )
        return StoredActivations(path, self._layer)

    @cached_property
    def tokens(self) -> StoredTokens:
        """Token, document and position of each row."""
        return read_tokens(self._activation_path)

    @cached_property
    def _dataset(self) -> "datasets.Dataset":
        # An evaluation that reads no text need not wait a second for this import.
        from unweave.datasets.stored import load_dataset

        dataset = load_dataset(self._dataset_folder)
        require_harvested_from(self._activation_path, self._dataset_folder)
        return dataset

    @cached_property
    def texts(self) -> Sequence[str]:
        """By row of the document."""
        column: Sequence[str] = self._dataset["text"]
        return column

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """By row of the document."""
        return np.asarray(self._dataset["label"][:], dtype=np.int64)

    @cached_property
    def splits(self) -> NDArray[np.str_]:
        """By row of the document."""
        return np.asarray(self._dataset["split"][:], dtype=np.str_)

    @cached_property
    def label_names(self) -> Sequence[str]:
        """Class names in label order."""
        names: list[str] = _read_json(self._dataset_folder / MANIFEST)["labels"]
        return names


def run_evaluation(
    *,
    dictionary_folder: Path,
    activation_paths: Mapping[str, Path],
    dataset_folders: Mapping[str, Path],
    model_folder: Path,
    entry: EvaluationEntry,
    key: Mapping[str, Any],
    output: Path,
    device: torch.device,
    target_paths: Mapping[str, Path] | None = None,
) -> None:
    """Evaluate a saved dictionary on corpora (name to activation file, name to data set) and write the scores.

    `target_paths` are the activation files (by corpus) of the site that a transcoder rebuilds. `key` holds the model,
    site, layer, method, fit_seed and evaluation by their registry names. The scores appear complete or not at all.

    Raises
    ------
    UnweaveError
        if the evaluation or its settings are wrong, an input is missing or damaged, or a score is not finite.
    """
    module = evaluation_module(entry.evaluation)
    settings = validated(module.Settings, entry.settings, f"settings of {entry.evaluation}")
    corpora: dict[str, Corpus] = {
        name: StoredCorpus(path, dataset_folders[name], key["layer"], (target_paths or {}).get(name))
        for name, path in activation_paths.items()
    }
    refit = refitting(dictionaries.read_manifest(dictionary_folder)["description"], device)
    curves = partial(dictionaries.read_curves, dictionary_folder)
    data = EvaluationData(key["site"], key["layer"], device, model_folder, corpora, refit, curves)
    dictionary = dictionaries.load(dictionary_folder).to(device)
    try:
        with torch.inference_mode():
            rows = module.evaluate(dictionary, data, settings, entry.seed)
    except UnweaveError as error:
        raise UnweaveError(f"{key['evaluation']} of {key['method']} at layer {key['layer']}: {error}") from None
    score_key = scores.ScoreKey(
        **key,
        revision=str(_read_json(model_folder / MANIFEST)["revision"]),
        device=device.type,
        code=fingerprint(__name__, module.__name__),
        spec=_hash(entry.model_dump(mode="json"), _settings_of(dictionary_folder)),
    )
    scores.write(output, scores.table(score_key, rows))


def refitting(description: Mapping[str, Any], device: torch.device) -> Refit | None:
    """How to fit again what the `description` of a dictionary's manifest says was fitted; None if it does not say."""
    if description.get("method_module") is None:
        return None

    def refit(activations: Activations, replaced: Mapping[str, Any], seed_offset: int = 0) -> Dictionary:
        name = str(description["method_module"])
        module = method_module(name)
        content = with_replaced(description["settings"], replaced)
        settings = validated(module.Settings, content, f"settings of {name} with `replaced`")
        # Evaluations run in inference mode, whose tensors cannot be learned from.
        with torch.inference_mode(False):
            fit: Fit = module.fit(activations, settings, description["seed"] + seed_offset, device)
        return fit.dictionary.to(device)

    return refit


def with_replaced(settings: Mapping[str, Any], replaced: Mapping[str, Any]) -> dict[str, Any]:
    """Put those of `replaced` that exist in `settings` into a copy of them; `a.b` is the setting b within a."""
    content = dict(settings)
    for name, value in replaced.items():
        outer, _, inner = name.partition(".")
        if outer not in content:
            continue
        if not inner:
            content[outer] = value
        elif isinstance(content[outer], Mapping):
            content[outer] = with_replaced(content[outer], {inner: value})
    return content


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UnweaveError(f"{path}: missing or damaged: delete {path.parent} and run again") from None
    return content


def _settings_of(dictionary_folder: Path) -> dict[str, Any]:
    description = dictionaries.read_manifest(dictionary_folder)["description"]
    return {name: description.get(name) for name in ("method_module", "settings", "seed")}


def _hash(*content: Any) -> str:
    return sha256_of_json(content)[:16]
