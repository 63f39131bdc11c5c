"""The stage that looks at one dictionary: stored files in, the data files of its pages out.

Beside these lies `directions.safetensors`: one direction for each feature that is shown, for its neighbours in others.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unweave import checked_tensors
from unweave.config import ExplorerLimits
from unweave.errors import UnweaveError
from unweave.evaluations.run import StoredCorpus
from unweave.explorer.content import Spoken, pages_of
from unweave.explorer.data_files import rounded, write
from unweave.explorer.explanations import explanations
from unweave.explorer.explored import Explored
from unweave.explorer.logit_lens import lens
from unweave.explorer.texts import read_texts
from unweave.files import staged_folder
from unweave.methods import dictionary as dictionaries
from unweave.models.language_model import LanguageModel, load_language_model
from unweave.results import scores

log = logging.getLogger(__name__)


def place(key: Mapping[str, Any]) -> str:
    """Folder of a dictionary below the data of the site."""
    return f"{key['model']}/{key['site']}/L{key['layer']}/{key['method']}/seed{key['seed']}"


def explore(
    *,
    dictionary_folder: Path,
    activation_paths: Mapping[str, Path],
    dataset_folders: Mapping[str, Path],
    model_folder: Path,
    score_paths: Sequence[Path],
    key: Mapping[str, Any],
    limits: ExplorerLimits,
    output: Path,
    device: torch.device,
) -> None:
    """Write the data files of one dictionary into the folder of `output`, its table: all of them or none.

    Corpora are given by name; `key` holds model, site, layer, method and seed by their registry names.

    Raises
    ------
    UnweaveError
        if an input is missing or damaged, texts are not tokenised as they were harvested, or no feature fires.
    """
    language_model = load_language_model(model_folder, torch.float32, device)
    corpora = {name: StoredCorpus(path, dataset_folders[name], key["layer"]) for name, path in activation_paths.items()}
    texts = read_texts(corpora, limits.tokens, language_model.tokenizer)
    rows = [
        next(corpus.activations.slices([(0, min(limits.tokens, corpus.activations.n))])) for corpus in corpora.values()
    ]
    dictionary = dictionaries.load(dictionary_folder).to(device)
    with torch.inference_mode():
        explored = Explored(dictionary, torch.cat(rows).to(device), texts, limits.features)
        if not len(explored.shown):
            raise UnweaveError(f"{key['method']}: no feature fires on {', '.join(corpora)}: explore other corpora")
        log.info("%s: %d of %d features", place(key), len(explored.shown), explored.everything.shape[1])
        site = dictionary.traits.writes or str(key["site"])
        spoken = _spoken(language_model, site, key["layer"], explored.directions)
        content = pages_of(explored, limits.contexts, site, spoken)
    content["table"] |= _explained(score_paths, explored)
    with staged_folder(output.parent) as folder:
        for name, data in content.items():
            write(folder / f"{name}.js", f"data/{place(key)}/{name}.js", data)
        facts = {"signed": dictionary.traits.signed, "space": f"{key['model']}/{site}/L{key['layer']}"}
        stored = {"directions": explored.directions.half().cpu().contiguous()}
        checked_tensors.save(folder / "directions.safetensors", stored, {"facts": json.dumps(facts)})


def _spoken(language_model: LanguageModel, site: str, layer: int, directions: Tensor) -> list[tuple[Spoken, Spoken]]:
    @cache
    def text(token: int) -> str:
        return str(language_model.tokenizer.decode([token]))

    return [
        ([(text(token), logit) for token, logit in top], [(text(token), logit) for token, logit in bottom])
        for top, bottom in lens(language_model.model, site, layer, directions)
    ]


def _explained(score_paths: Sequence[Path], explored: Explored) -> dict[str, Any]:
    """Columns `explanation` and `score` of the table, if the score tables name features."""
    if not score_paths:
        return {}
    named = explanations(scores.read(score_paths), explored.everything.shape[1])
    best = [named.get(feature, [None])[0] for feature in explored.shown.tolist()]
    return {
        "explanation": [one.text if one else None for one in best],
        "score": [rounded(one.score) if one else None for one in best],
    }
