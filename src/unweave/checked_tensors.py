"""Tensors in a safetensors file that carries the hash of each of them: a flipped bit is noticed when it is read."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

HASHES = "sha256"


class DamagedFileError(Exception):
    """What was read is not what was written."""


def _hash(tensor: Tensor) -> str:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors on the CPU with `metadata`."""
    hashes = {name: _hash(tensor) for name, tensor in tensors.items()}
    save_file(dict(tensors), path, {**metadata, HASHES: json.dumps(hashes, sort_keys=True)})


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata that `save` was given.

    Raises
    ------
    DamagedFileError
        if the file is cut, or its header is not readable.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] | None = file.metadata()
    except (SafetensorError, OSError, ValueError) as error:
        raise DamagedFileError(f"{path}: {error}") from None
    if not metadata or HASHES not in metadata:
        raise DamagedFileError(f"{path}: has no hashes")
    return metadata


def read_tensor(path: Path, name: str) -> Tensor:
    """One tensor, in memory of its own.

    Raises
    ------
    DamagedFileError
        if it is missing or not what was written.
    """
    try:
        expected = json.loads(read_metadata(path)[HASHES])[name]
        with safe_open(path, framework="pt") as file:
            # Cloned: products of a matrix that is not aligned as torch allocates may differ in the last bit.
            tensor: Tensor = file.get_tensor(name).clone()
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path}: {error}") from None
    if _hash(tensor) != expected:
        raise DamagedFileError(f"{path}: {name} is not what was written")
    return tensor


def read_all(path: Path) -> dict[str, Tensor]:
    """Every tensor of a file.

    Raises
    ------
    DamagedFileError
        as `read_tensor`.
    """
    try:
        names = list(json.loads(read_metadata(path)[HASHES]))
    except (ValueError, TypeError) as error:
        raise DamagedFileError(f"{path}: {error}") from None
    return {name: read_tensor(path, name) for name in names}
