"""The one interface of all decompositions, and how a fitted dictionary is kept on disk.

Shapes: n tokens, d dimensions of the site, F features (components, latents). Codes are (n, F), atoms (the writing
directions) are (F, d), readers (the linear reading directions, where a method has them) are (F, d).

A method is a module of this package with a pydantic `Settings` and
`fit(activations, settings, seed, device, checkpoint) -> Fit`; it is named by one entry of config/methods.yaml. A method
that needs the labels or the targets of the activations raises UnweaveError where they are missing.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from unweave.config import Count, Strict, validated
from unweave.errors import UnweaveError
from unweave.files import MANIFEST, sha256_of, staged_folder, write_json

FORMAT_VERSION = 2
TENSORS_FILE = "dictionary.safetensors"
HISTORY_FILE = "history.parquet"


Normalisation = Literal["none", "row_norm", "row_mean", "layer_norm", "median_norm"]


class Traits(Strict, strict=True):
    """What an evaluation may ask of a dictionary, instead of asking for a method's name."""

    signed: bool
    """Codes take both signs."""
    linear: bool
    """Encoding is affine in the (normalised) activation and `readers` exists."""
    binary: bool = False
    """Codes are 0 or 1 bits."""
    group_size: Count = 1
    """Adjacent codes that act as one feature."""
    firing: Literal["nonzero", "dense"] = "nonzero"
    """A feature fires on a token where its code (any code of its group) is not zero; or all codes are dense and a
    feature fires where it is among the strongest, as many as an evaluation asks for."""
    normalisation: Normalisation = "none"
    """What is done to each row before it is encoded, and undone by `decode(codes, like=x)`: nothing; scaling to unit
    Euclidean norm; subtracting the mean of its coordinates; subtracting it and dividing by their standard deviation; or
    subtracting the geometric median of the rows (tensor `median`) and scaling to unit norm."""
    writes: str | None = None
    """Site that decoding rebuilds, where it is another one than encoding reads (a transcoder)."""

    @property
    def row_norm(self) -> bool:
        """Rows are scaled to unit Euclidean norm and nothing else is done to them."""
        return self.normalisation == "row_norm"


class Dictionary(ABC):
    """A fitted decomposition. Subclasses keep their state in `tensors` and are rebuilt from it and from `options`."""

    form: ClassVar[str]
    """`module.Class` below unweave.methods; written into the manifest."""
    normalisations: ClassVar[tuple[Normalisation, ...]] = ("none",)
    """What encoding can do to rows."""

    def __init__(self, tensors: dict[str, Tensor], traits: Traits, options: Mapping[str, Any] | None = None) -> None:
        self.tensors = tensors
        self.traits = traits
        self.options = dict(options or {})
        """JSON-able facts that encoding or decoding depends on besides tensors and traits, such as k of a TopK gate."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Codes (n, F) of activations x (n, d), both float32."""

    @abstractmethod
    def decode(self, codes: Tensor, like: Tensor | None = None) -> Tensor:
        """Activations (n, d) of codes (n, F).

        Where rows are normalised before they are encoded, the result is on the normalised scale; given `like` (n, d),
        the activations that were encoded, each row gets its own scale and offset back (ICA Lens, norm restoration).
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

    def strengths(self, codes: Tensor) -> Tensor:
        """Strength of each feature on each token (n, F / group_size): |code|, or the norm of a group's codes."""
        size = self.traits.group_size
        return codes.abs() if size == 1 else codes.reshape(len(codes), -1, size).norm(dim=2)

    def row_scales(self, x: Tensor) -> Tensor | None:
        """Factor (n, 1) of codes @ atoms in `decode(codes, like=x)`; None where decoding does not add up over codes."""
        return torch.ones_like(x[:, :1]) if self.traits.normalisation in ("none", "row_mean") else None

    def to(self, device: torch.device | str) -> Self:
        """Copy the dictionary to another device."""
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return type(self)(tensors, self.traits, self.options)


@dataclass(frozen=True)
class Fit:
    """What `fit` returns."""

    dictionary: Dictionary
    diagnostics: dict[str, Any] = field(default_factory=dict)
    """Final, JSON-able facts about the fit: convergence, acceptance, attempts."""
    history: dict[str, list[float]] = field(default_factory=dict)
    """Training curves by name; equal lengths are not required."""
    history_steps: list[int] | None = None
    """Step that each point of the curves belongs to; None for 1, 2, 3, ..."""

    def curves(self) -> pa.Table:
        """Return the history as tidy data: `curve`, `step`, `value`."""
        rows = [
            (name, step, value)
            for name, values in sorted(self.history.items())
            for step, value in zip(self.history_steps or range(1, len(values) + 1), values, strict=False)
        ]
        names, steps, values = zip(*rows, strict=True) if rows else ((), (), ())
        return pa.table(
            {
                "curve": pa.array(names, pa.string()),
                "step": pa.array(steps, pa.int64()),
                "value": pa.array(values, pa.float64()),
            }
        )


def save(fit: Fit, folder: Path, description: dict[str, Any]) -> None:
    """Write `dictionary.safetensors`, `history.parquet` and `manifest.json` into `folder`, atomically.

    `description` (what was fitted, on which data, with which settings) becomes part of the manifest. Nothing in the
    folder depends on when or how fast it was made: the same fit gives the same bytes.
    """
    dictionary = fit.dictionary
    with staged_folder(folder) as staged:
        tensors_file = staged / TENSORS_FILE
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in dictionary.tensors.items()}
        save_file(tensors, tensors_file)
        pq.write_table(fit.curves(), staged / HISTORY_FILE, compression="zstd")
        write_json(
            staged / MANIFEST,
            {
                "format_version": FORMAT_VERSION,
                "form": dictionary.form,
                "traits": dictionary.traits.model_dump(),
                "options": dictionary.options,
                "shapes": {name: list(tensor.shape) for name, tensor in tensors.items()},
                "sha256": sha256_of(tensors_file),
                "history_sha256": sha256_of(staged / HISTORY_FILE),
                "diagnostics": fit.diagnostics,
                "description": description,
            },
        )


class _Manifest(Strict, strict=True):
    """What `save` writes."""

    format_version: int
    form: str
    traits: dict[str, Any]
    options: dict[str, Any]
    shapes: dict[str, list[int]]
    sha256: str
    history_sha256: str
    diagnostics: dict[str, Any]
    description: dict[str, Any]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Manifest of a saved dictionary.

    Raises
    ------
    UnweaveError
        if it is missing, damaged, incomplete or of another format version.
    """
    path = folder / MANIFEST
    mend = f"delete {folder} and run again"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise UnweaveError(f"{path}: not a readable dictionary manifest: {mend}") from None
    if version != FORMAT_VERSION:
        raise UnweaveError(f"{path}: format version {version}, this code reads {FORMAT_VERSION}: fit it again")
    try:
        validated(_Manifest, manifest, str(path))
    except UnweaveError as error:
        raise UnweaveError(f"{error}: {mend}") from None
    return manifest


def _require_unchanged(path: Path, sha256: str) -> None:
    if not path.exists() or sha256_of(path) != sha256:
        raise UnweaveError(
            f"{path}: missing or damaged (SHA-256 differs from the manifest): delete {path.parent} and run again"
        )


def load(folder: Path) -> Dictionary:
    """Read a dictionary that `save` wrote, on the CPU.

    Raises
    ------
    UnweaveError
        if a file is missing or damaged, the tensors are not those of the manifest, or they and its form and traits do
        not belong together.
    """
    manifest = read_manifest(folder)
    path = folder / TENSORS_FILE
    _require_unchanged(path, manifest["sha256"])
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise UnweaveError(f"{path}: not a safetensors file ({error}): delete {folder} and run again") from None
    shapes = {key: list(tensor.shape) for key, tensor in tensors.items()}
    if shapes != manifest["shapes"]:
        raise UnweaveError(f"{path}: holds {shapes}, its manifest says {manifest['shapes']}: fit it again")
    try:
        return _built(manifest, tensors)
    except (UnweaveError, ImportError, AttributeError, TypeError, LookupError, ValueError) as error:
        raise UnweaveError(
            f"{folder / MANIFEST}: a form or trait that this code does not know ({error}): fit it again"
        ) from None


def _built(manifest: Mapping[str, Any], tensors: dict[str, Tensor]) -> Dictionary:
    module, _, name = manifest["form"].rpartition(".")
    form = getattr(import_module(f"unweave.methods.{module}"), name)
    if not (isinstance(form, type) and issubclass(form, Dictionary)):
        raise UnweaveError(f"form: {manifest['form']} is no dictionary")
    traits = validated(Traits, manifest["traits"], "traits")
    if traits.normalisation not in form.normalisations:
        raise UnweaveError(f"traits: normalisation: {manifest['form']} cannot do {traits.normalisation}")
    if traits.normalisation == "median_norm" and "median" not in tensors:
        raise UnweaveError("traits: normalisation: median_norm needs a tensor `median`")
    dictionary = form(tensors, traits, manifest["options"])
    if dictionary.n_features % traits.group_size:
        raise UnweaveError(f"traits: group_size: {dictionary.n_features} features are no groups of {traits.group_size}")
    return dictionary


class Curve(NamedTuple):
    """One training curve."""

    steps: NDArray[np.int64]
    values: NDArray[np.float64]


def read_curves(folder: Path) -> dict[str, Curve]:
    """Training curves of a saved dictionary by name, those without points left out.

    Raises
    ------
    UnweaveError
        if the file is missing or damaged.
    """
    path = folder / HISTORY_FILE
    _require_unchanged(path, read_manifest(folder)["history_sha256"])
    table = pq.read_table(path)
    names = np.asarray(table["curve"].to_pylist(), dtype=str)
    steps, values = table["step"].to_numpy(), table["value"].to_numpy()
    return {str(name): Curve(steps[names == name], values[names == name]) for name in np.unique(names)}
