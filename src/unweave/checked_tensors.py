"""Tensors in a safetensors file that carries hashes of all it says: a flipped bit anywhere is noticed when it is read.

Metadata and the hash of each tensor with its type and shape lie in one entry of the header, which begins with its own
hash. It is one entry because safetensors writes several in any order.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

ENTRY = "unweave"


class DamagedFileError(Exception):
    """What was read is not what was written."""


def sha256_of_tensor(tensor: Tensor) -> str:
    """Hex SHA-256 of the type, shape and values of a contiguous tensor on the CPU."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)} ".encode())
    digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _hash_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors on the CPU with `metadata`."""
    hashes = {name: sha256_of_tensor(tensor) for name, tensor in tensors.items()}
    content = json.dumps({"metadata": dict(metadata), "sha256": hashes}, sort_keys=True)
    save_file(dict(tensors), path, {ENTRY: f"{_hash_of_text(content)} {content}"})


def _header(path: Path) -> dict[str, dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            sha256, _, content = file.metadata()[ENTRY].partition(" ")
        if sha256 != _hash_of_text(content):
            raise DamagedFileError(f"{path}: its header is not what was written")
        parts: dict[str, dict[str, str]] = json.loads(content)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path}: its header is not readable ({error})") from None
    return parts


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata that `save` was given.

    Raises
    ------
    DamagedFileError
        if the file is cut, or its header is not what was written.
    """
    return _header(path)["metadata"]


def read(path: Path, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Read the named tensors, or all, into memory of their own.

    Raises
    ------
    DamagedFileError
        if one is missing or not what was written.
    """
    try:
        hashes = _header(path)["sha256"]
        with safe_open(path, framework="pt") as file:
            # Cloned: products of a matrix that is not aligned as torch allocates may differ in the last bit.
            tensors = {name: file.get_tensor(name).clone() for name in names or hashes}
        changed = [name for name, tensor in tensors.items() if sha256_of_tensor(tensor) != hashes[name]]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"{path}: {error}") from None
    if changed:
        raise DamagedFileError(f"{path}: {changed[0]} is not what was written")
    return tensors
