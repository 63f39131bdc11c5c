"""How an activation file is laid out: names, types and shapes are checked when one is opened, before any value."""

from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np

SCHEMA = "activations/1"
BFLOAT16 = "bfloat16"
STORED: dict[str, type[np.generic]] = {BFLOAT16: np.uint16, "float16": np.float16, "float32": np.float32}


class LayoutError(Exception):
    """Something is of another schema, type or shape than in an activation file."""


def write_attributes(file: h5py.File, attributes: Mapping[str, Any]) -> None:
    """Write root attributes, texts with a fixed length.

    HDF5 keeps text of any other kind in a heap without a checksum, and reads on for ever where that is damaged.
    """
    for name, value in attributes.items():
        file.attrs[name] = np.bytes_(value.encode()) if isinstance(value, str) else value


def read_attributes(file: h5py.File) -> dict[str, Any]:
    """Root attributes by name, as Python values."""
    return {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in sorted(_decoded(file).items())
    }


def _decoded(file: h5py.File) -> dict[str, Any]:
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in file.attrs.items()}


def check(file: h5py.File) -> None:
    """Require that the file holds what `unweave.activations.store` describes.

    Raises
    ------
    LayoutError
        naming it.
    KeyError
        if something is missing.
    """
    try:
        attributes = _decoded(file)
        schema = attributes.get("schema")
        if not isinstance(schema, str) or schema != SCHEMA:
            raise LayoutError(f"its schema is {schema!r}, not {SCHEMA!r}")
        (n,) = _require(file, "tokens/id", np.int32, (None,))
        for name in ("doc", "pos"):
            _require(file, f"tokens/{name}", np.int32, (n,))
        width = int(attributes["width"])
        for layer in file["stats"]:
            _check_moments(file, f"stats/{layer}", width)
        for layer in file.get("acts", ()):
            if not layer.isdecimal():
                raise LayoutError(f"acts/{layer} is no layer")
            _require(file, f"acts/{layer}", STORED[attributes["stored_dtype"]], (n, width))
        if "documents" in file:
            (documents,) = _require(file, "documents/start", np.int64, (None,))
            if "dropped" in file["documents"]:
                _require(file, "documents/dropped", np.int32, (documents, None))
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise LayoutError(f"is not laid out as an activation file ({error})") from None


def _require(file: h5py.File, name: str, dtype: type[np.generic], shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """Shape of a table, which must be `shape` but where that is None."""
    table = file.get(name)
    if not isinstance(table, h5py.Dataset):
        raise KeyError(f"no table {name}")
    found: tuple[int, ...] = table.shape or ()
    if (
        table.dtype != dtype
        or len(found) != len(shape)
        or any(size not in (None, given) for given, size in zip(found, shape, strict=True))
    ):
        raise LayoutError(f"{name} is {table.dtype} {found}, not {np.dtype(dtype)} {shape}")
    return found


def _check_moments(file: h5py.File, name: str, width: int) -> None:
    for rows in ("raw", "unit"):
        _require(file, f"{name}/{rows}/mean", np.float64, (width,))
        _require(file, f"{name}/{rows}/covariance", np.float64, (width, width))
    mean_norm = file[name].attrs["mean_norm"]
    if not isinstance(mean_norm, float):
        raise LayoutError(f"mean_norm of {name} is {mean_norm!r}, not a number")
