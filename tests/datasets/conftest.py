import hashlib
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from unweave.config import DatasetEntry, PypiSource

MakeWheel = Callable[[Mapping[str, bytes]], Path]


@pytest.fixture
def make_wheel(tmp_path: Path) -> MakeWheel:
    """Write members into a wheel-like archive."""

    def make(members: Mapping[str, bytes]) -> Path:
        path = tmp_path / "words-1.0.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path

    return make


@pytest.fixture
def entry_of() -> Callable[..., DatasetEntry]:
    """Make a registry entry that reads the given wheel, or the given local path."""

    def make(origin: Path, reader: str, file: str = "", **changes: Any) -> DatasetEntry:
        if origin.suffix == ".whl":
            digest = hashlib.sha256(origin.read_bytes()).hexdigest()
            source: Any = PypiSource(type="pypi", project="words", version="1.0", sha256=digest, file=file)
        else:
            source = {"type": "local", "path": str(origin)}
        return DatasetEntry(**{"title": "Words", "licence": "CC0", "source": source, "reader": reader, **changes})

    return make
