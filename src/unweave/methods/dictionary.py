"""The one interface of all decompositions, and how a fitted dictionary is kept on disk.

Shapes: n tokens, d dimensions of the site, F features (components, latents). Codes are (n, F), atoms (the writing
directions) are (F, d), readers (the linear reading directions, where a method has them) are (F, d).

A method is a module of this package with a pydantic `Settings` and
`fit(activations, settings, seed, device) -> Fit`; it is named by one entry of config/methods.yaml.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unweave.errors import UnweaveError
from unweave.files import sha256_of, staged_folder, write_json

FORMAT_VERSION = 1
TENSORS_FILE = "dictionary.safetensors"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Traits:
    """What an evaluation may ask of a dictionary, instead of asking for a method's name."""

    signed: bool
    """Codes take both signs."""
    linear: bool
    """Encoding is affine in the (preprocessed) activation and `readers` exists."""
    binary: bool = False
    """Codes are 0 or 1 bits."""
    group_size: int = 1
    """Adjacent codes that act as one feature."""
    row_norm: bool = False
    """Rows are scaled to unit Euclidean norm before they are encoded."""


class Dictionary(ABC):
    """A fitted decomposition. Subclasses keep their state in `tensors` and are rebuilt from it."""

    form: ClassVar[str]
    """`module.Class` below unweave.methods; written into the manifest."""

    def __init__(self, tensors: dict[str, Tensor], traits: Traits) -> None:
        self.tensors = tensors
        self.traits = traits

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Codes (n, F) of activations x (n, d), both float32."""

    @abstractmethod
    def decode(self, codes: Tensor, norms: Tensor | None = None) -> Tensor:
        """Activations (n, d) of codes (n, F).

        For a dictionary with `traits.row_norm` the result lives on the unit sphere's scale; given `norms` (n,), each
        reconstructed row is rescaled to that Euclidean norm (ICA Lens, norm restoration).
        """

    @property
    @abstractmethod
    def atoms(self) -> Tensor:
        """Writing directions (F, d), not normalised."""

    @property
    def readers(self) -> Tensor | None:
        """Linear reading directions (F, d), or None."""
        return None

    @property
    def n_features(self) -> int:
        """F."""
        return self.atoms.shape[0]

    def to(self, device: torch.device | str) -> Self:
        """Copy the dictionary to another device."""
        return type(self)({name: tensor.to(device) for name, tensor in self.tensors.items()}, self.traits)


@dataclass(frozen=True)
class Fit:
    """What `fit` returns."""

    dictionary: Dictionary
    diagnostics: dict[str, Any] = field(default_factory=dict)
    """Final, JSON-able facts about the fit: convergence, acceptance, attempts."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """Per-iteration curves by name; equal lengths are not required."""


def save(fit: Fit, folder: Path, description: dict[str, Any]) -> None:
    """Write `dictionary.safetensors` and `manifest.json` into `folder`, atomically.

    `description` (the model, corpus, site, layer, method entry and seed) becomes part of the manifest.
    """
    dictionary = fit.dictionary
    with staged_folder(folder) as staged:
        tensors_file = staged / TENSORS_FILE
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.tensors.items()}
        save_file(tensors, tensors_file)
        write_json(
            staged / MANIFEST_FILE,
            {
                "format_version": FORMAT_VERSION,
                "form": dictionary.form,
                "traits": asdict(dictionary.traits),
                "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
                "sha256": sha256_of(tensors_file),
                "diagnostics": fit.diagnostics,
                "history": fit.history,
                "description": description,
            },
        )


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a saved dictionary.

    Raises
    ------
    UnweaveError
        if it is missing, damaged or of another format version.
    """
    path = folder / MANIFEST_FILE
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (OSError, ValueError, KeyError, TypeError):
        raise UnweaveError(f"{path}: not a readable dictionary manifest: delete {folder} and run again") from None
    if version != FORMAT_VERSION:
        raise UnweaveError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}: fit it again")
    return manifest


def load(folder: Path) -> Dictionary:
    """Read a dictionary that `save` wrote, on the CPU.

    Raises
    ------
    UnweaveError
        if a file is missing or damaged, or the tensors are not those of the manifest.
    """
    manifest = read_manifest(folder)
    path = folder / TENSORS_FILE
    if not path.exists() or sha256_of(path) != manifest["sha256"]:
        raise UnweaveError(
            f"{path}: missing or damaged (SHA-256 differs from the manifest): delete {folder} and run again"
        )
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise UnweaveError(f"{path}: not a safetensors file ({error}): delete {folder} and run again") from None
    module, _, name = manifest["form"].partition(".")
    form: type[Dictionary] = getattr(import_module(f"unweave.methods.{module}"), name)
    return form(tensors, Traits(**manifest["traits"]))
