"""The stage that looks at one dictionary: stored files in, the data files of its pages out.

table.js          one column per measure, one row per feature that is shown
contexts-{i}.js   of SHARD features: contexts, histogram, logit lens, and what its kind of dictionary adds
tokens-{i}.js     of TEXTS_PER_SHARD texts: the features that contribute most to each token
tree.js           concept trees, where features have levels
directions.safetensors  one direction for each feature that is shown, for the neighbours in other dictionaries
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from unweave.config import ExplorerLimits
from unweave.errors import UnweaveError
from unweave.evaluations.core.firing import firing
from unweave.evaluations.run import StoredCorpus
from unweave.explorer import features, groups
from unweave.explorer.concept_tree import trees
from unweave.explorer.data_files import rounded, write
from unweave.explorer.explanations import explanations
from unweave.explorer.logit_lens import Ranked, lens
from unweave.explorer.texts import Texts, read_texts
from unweave.files import staged_folder
from unweave.methods import dictionary as dictionaries
from unweave.methods.bae.entropy import channel_entropies, chow_liu_entropy
from unweave.methods.dictionary import Dictionary
from unweave.methods.snmf_hierarchy import FeatureTree
from unweave.models.language_model import load_language_model
from unweave.results import scores

log = logging.getLogger(__name__)

SHARD = 100
TEXTS_PER_SHARD = 20
FIRES_IN_DENSE = 32
"""Of a dictionary whose codes are never zero, the features of largest strength that fire on a token."""
FEATURES_OF_TOKEN = 8
LABEL_TOKENS = 4
PROMOTED = 3
POINTS = 300
"""Of a scatter at most."""
NEURONS = 10


def place(key: Mapping[str, Any]) -> str:
    """Folder of a dictionary below the data of the site."""
    return f"{key['model']}/{key['site']}/L{key['layer']}/{key['method']}/seed{key['seed']}"


@dataclass(frozen=True)
class Explored:
    """A dictionary on the rows (n, d) of some texts, and which of its features are shown."""

    dictionary: Dictionary
    x: Tensor
    texts: Texts
    most: int

    @cached_property
    def codes(self) -> Tensor:
        """(n, F)."""
        return self.dictionary.encode(self.x)

    @cached_property
    def everything(self) -> Tensor:
        """Activations (n, K) of all features."""
        return features.feature_activations(self.dictionary, self.codes)

    @cached_property
    def shown(self) -> NDArray[np.int64]:
        """Features with a page, ascending."""
        alive = np.flatnonzero((self.everything != 0).any(dim=0).cpu().numpy())
        return features.evenly_spaced(alive, self.most)

    @cached_property
    def activations(self) -> Tensor:
        """Activations (n, k) of the shown ones."""
        return self.everything[:, torch.from_numpy(self.shown)]

    @cached_property
    def fires(self) -> Tensor:
        """Boolean (n, K)."""
        return firing(self.dictionary, self.codes, FIRES_IN_DENSE)

    def rows_of(self, feature: int) -> NDArray[np.int64]:
        """Rows on which a feature acts, evenly spaced if there are more than POINTS."""
        return features.evenly_spaced(np.flatnonzero(self.everything[:, feature].cpu().numpy()), POINTS)

    def written(self, feature: int) -> groups.Written:
        """Collect what a group writes on the rows where it acts."""
        size = self.dictionary.traits.group_size
        members = slice(feature * size, (feature + 1) * size)
        return groups.Written.of(self.codes[self.rows_of(feature), members], self.dictionary.atoms[members])

    @cached_property
    def directions(self) -> Tensor:
        """What each shown feature writes (k, d): its atom, or the main direction of a group."""
        if self.dictionary.traits.group_size == 1:
            return self.dictionary.atoms[torch.from_numpy(self.shown)]
        return torch.stack([groups.main_direction(self.written(int(feature))) for feature in self.shown])


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
        spoken = list(lens(language_model.model, site, key["layer"], explored.directions))
        names = [str(language_model.tokenizer.decode([i])) for i in range(len(language_model.tokenizer))]
        content = pages_of(explored, limits.contexts, site, spoken, names)
    content["table"] |= _explained(score_paths, explored)
    with staged_folder(output.parent) as folder:
        for name, data in content.items():
            write(folder / f"{name}.js", f"data/{place(key)}/{name}.js", data)
        facts = {"signed": dictionary.traits.signed, "space": f"{key['model']}/{site}/L{key['layer']}"}
        # In one entry, as safetensors writes several in any order.
        stored = {"directions": explored.directions.half().cpu().contiguous()}
        save_file(stored, folder / "directions.safetensors", {"facts": json.dumps(facts)})


def pages_of(
    explored: Explored, most: int, site: str, spoken: list[tuple[Ranked, Ranked]], names: Sequence[str]
) -> dict[str, Any]:
    """Content of every data file by its name, with at most so many contexts of each sign.

    `spoken` (k,) are tokens of the logit lens, if there is one, and `names` the text of every token.
    """
    contexts = features.contexts(explored.activations, explored.texts, most)
    columns = explored.activations.cpu().numpy()
    details = []
    for i, (feature, found) in enumerate(zip(explored.shown.tolist(), contexts, strict=True)):
        bars = features.histogram(columns[:, i])
        detail: dict[str, Any] = {
            "positive": [_context(one) for one in found[0]],
            "negative": [_context(one) for one in found[1]],
            "histogram": [rounded(bars.low), rounded(bars.high), bars.counts],
        }
        if spoken:
            detail["lens"] = [[[names[token], rounded(logit)] for token, logit in side] for side in spoken[i]]
        if explored.dictionary.traits.group_size > 1:
            detail["group"] = _group(explored, feature)
        if site == "mlp_neurons":
            detail["neurons"] = _neurons(explored.directions[i])
        details.append(detail)
    labels = [features.label_tokens(found, explored.texts, LABEL_TOKENS) for found in contexts]
    promoted = [[names[token].strip() for token, _ in top[:PROMOTED]] for top, _ in spoken]
    content: dict[str, Any] = {"table": _table(explored, labels, promoted)}
    for number, start in enumerate(range(0, len(details), SHARD)):
        content[f"contexts-{number}"] = details[start : start + SHARD]
    content |= _tokens(explored)
    if isinstance(explored.dictionary, FeatureTree):
        strings = np.array([explored.texts.pieces[place].strip() for place in explored.texts.places])
        content["tree"] = trees(explored.dictionary, explored.codes, strings)
    return content


def _context(one: features.Context) -> list[Any]:
    return [one.text, one.first, one.peak, rounded(one.value), one.codes]


def _group(explored: Explored, feature: int) -> dict[str, Any]:
    found = groups.scatter(explored.written(feature))
    texts = explored.texts
    places = texts.places[explored.rows_of(feature)].tolist()
    numbers = [texts.text_at(one) for one in places]
    where = [[text, one - int(texts.starts[text])] for text, one in zip(numbers, places, strict=True)]
    points = [[rounded(value) for value in point] for point in found.points.tolist()]
    return {
        "points": [[*point, *at] for point, at in zip(points, where, strict=True)],
        "shares": [rounded(share) for share in found.shares],
    }


def _neurons(direction: Tensor) -> list[list[float]]:
    largest = direction.abs().topk(min(NEURONS, len(direction))).indices.tolist()
    return [[neuron, rounded(float(direction[neuron]))] for neuron in largest if float(direction[neuron])]


def _table(explored: Explored, labels: list[list[str]], promoted: list[list[str]]) -> dict[str, Any]:
    traits, shown = explored.dictionary.traits, torch.from_numpy(explored.shown)
    n = len(explored.codes)
    columns = {
        "density": explored.fires[:, shown].double().mean(dim=0),
        "kurtosis": features.excess_kurtosis(explored.activations),
        "largest": explored.activations.abs().amax(dim=0),
    }
    facts: dict[str, Any] = {
        "features": explored.everything.shape[1],
        "tokens": n,
        "signed": traits.signed and traits.group_size == 1,
        "binary": traits.binary,
        "group_size": traits.group_size,
        "dense": traits.firing == "dense",
        "tree": isinstance(explored.dictionary, FeatureTree),
    }
    if traits.binary:
        ones = (explored.codes != 0).float()
        joint = (ones.T @ ones).double().cpu()
        entropies = channel_entropies(joint.diagonal(), n)
        columns["entropy"] = entropies[shown]
        facts["bits"] = {
            "summed": rounded(float(entropies.sum())),
            "dependent": rounded(chow_liu_entropy(joint, n)),
        }
    return {
        "facts": facts,
        "ids": explored.shown.tolist(),
        "labels": labels,
        "promoted": promoted,
        **{name: [rounded(value) for value in column.tolist()] for name, column in columns.items()},
    }


def _tokens(explored: Explored) -> dict[str, Any]:
    shown = torch.from_numpy(explored.shown)
    sizes = features.contributions(explored.dictionary, explored.codes, explored.everything)[:, shown]
    of_rows = features.strongest_features(sizes.cpu(), explored.activations.cpu(), FEATURES_OF_TOKEN)
    texts = explored.texts
    of_places = [of_rows[row] if row >= 0 else None for row in texts.rows]
    bounds = list(zip(texts.starts[:-1].tolist(), texts.starts[1:].tolist(), strict=True))
    of_texts = [of_places[start:stop] for start, stop in bounds]
    return {
        f"tokens-{number}": of_texts[start : start + TEXTS_PER_SHARD]
        for number, start in enumerate(range(0, len(of_texts), TEXTS_PER_SHARD))
    }


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
