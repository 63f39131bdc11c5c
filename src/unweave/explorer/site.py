"""The stage that makes the site: pages, texts, and the neighbours of every feature in the other dictionaries."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from unweave import checked_tensors
from unweave.errors import UnweaveError
from unweave.evaluations.run import StoredCorpus
from unweave.explorer.content import SHARD, TEXTS_PER_SHARD
from unweave.explorer.data_files import rounded, write
from unweave.explorer.explore import place
from unweave.explorer.neighbours import nearest
from unweave.explorer.texts import read_texts
from unweave.files import staged_file, staged_folder
from unweave.models.language_model import load_tokenizer

STATIC = Path(__file__).with_name("static")
PAGE = "index.html"
NEAREST = 3
"""Features of each other dictionary."""


@dataclass(frozen=True)
class Directions:
    """Directions (k, d) of the features of one dictionary."""

    vectors: Tensor
    signed: bool
    space: str
    """What they are directions of: only those of one space can be compared."""


def read_directions(path: Path) -> Directions:
    """Directions that `explore` wrote.

    Raises
    ------
    UnweaveError
        if the file is missing or damaged.
    """
    try:
        facts = json.loads(checked_tensors.read_metadata(path)["facts"])
        return Directions(checked_tensors.read(path)["directions"].float(), **facts)
    except (checked_tensors.DamagedFileError, KeyError, ValueError, TypeError) as error:
        raise UnweaveError(f"{path}: missing or damaged ({error}): delete {path.parent} and run again") from None


def neighbours_of(number: int, all_directions: Sequence[Directions]) -> list[list[Any]]:
    """For each feature (k,) of dictionary `number`: [other dictionary, [feature, cosine, feature, cosine, ...]] ..."""
    own = all_directions[number]
    of_features: list[list[Any]] = [[] for _ in own.vectors]
    for other, directions in enumerate(all_directions):
        if other == number or directions.space != own.space:
            continue
        signed = own.signed or directions.signed
        for row, found in zip(
            of_features, nearest(own.vectors, directions.vectors, NEAREST, signed=signed), strict=True
        ):
            row.append([other, [value for feature, cosine in found for value in (feature, rounded(cosine))]])
    return of_features


def make_site(
    *,
    dictionary_keys: Sequence[Mapping[str, Any]],
    titles: Mapping[str, Mapping[str, str]],
    activation_paths: Mapping[str, Path],
    dataset_folders: Mapping[str, Path],
    model_folders: Mapping[str, Path],
    most_tokens: int,
    output: Path,
) -> None:
    """Write everything but the data of single dictionaries, which lies in `data` beside `output`, and `output` last.

    `dictionary_keys` hold model, site, layer, method and seed; `titles` the names of models, methods and data sets;
    `activation_paths` are by `model/corpus`, `dataset_folders` by corpus, in the order in which corpora are shown.

    Raises
    ------
    UnweaveError
        if an input is missing or damaged, or texts are not tokenised as they were harvested.
    """
    folder = output.parent
    directions = [read_directions(folder / "data" / place(key) / "directions.safetensors") for key in dictionary_keys]
    with staged_folder(folder / "static") as static:
        for file in sorted(STATIC.iterdir()):
            if file.name != PAGE:
                shutil.copyfile(file, static / file.name)
    with staged_folder(folder / "shared") as shared:
        for model, model_folder in model_folders.items():
            corpora = {
                name: StoredCorpus(activation_paths[f"{model}/{name}"], dataset, layer=0)
                for name, dataset in dataset_folders.items()
            }
            texts = read_texts(corpora, most_tokens, load_tokenizer(model_folder))
            _write(shared, f"texts/{model}", texts.content())
        for number, key in enumerate(dictionary_keys):
            found = neighbours_of(number, directions)
            for shard, start in enumerate(range(0, len(found), SHARD)):
                _write(shared, f"neighbours/{place(key)}/{shard}", found[start : start + SHARD])
        content = {
            "dictionaries": [{**key, "place": place(key)} for key in dictionary_keys],
            "titles": titles,
            "features_per_shard": SHARD,
            "texts_per_shard": TEXTS_PER_SHARD,
        }
        _write(shared, "site", content)
    with staged_file(output) as partial:
        shutil.copyfile(STATIC / PAGE, partial)


def _write(shared: Path, name: str, content: Any) -> None:
    write(shared / f"{name}.js", f"shared/{name}.js", content)
