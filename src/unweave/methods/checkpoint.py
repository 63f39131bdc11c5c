"""What a long fit keeps on disk, so that a killed one goes on where it was and ends in the same result."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from unweave import checked_tensors
from unweave.checked_tensors import DamagedFileError
from unweave.files import staged_file

log = logging.getLogger(__name__)
INTERVAL_S = 60.0


class Checkpoint:
    """One file that is replaced whenever `save` is called, and read back only by the same fit.

    `identity` names everything that decides the result (settings, seed, data, code). A file of another identity, or a
    damaged one, is ignored: the fit starts anew. Without a path nothing is kept, as in tests and benchmarks.
    """

    def __init__(self, path: Path | None = None, identity: str = "", interval_s: float = INTERVAL_S) -> None:
        self._path = path
        self._identity = identity
        self._interval_s = interval_s
        self._saved = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to save again: the state is copied and written, which costs about a second."""
        return self._path is not None and time.monotonic() - self._saved >= self._interval_s

    def save(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep `tensors` and JSON-able `facts`, atomically."""
        if self._path is None:
            return
        metadata = {"identity": self._identity, "facts": json.dumps(facts)}
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        with staged_file(self._path) as partial:
            checked_tensors.save(partial, stored, metadata)
        self._saved = time.monotonic()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors on the CPU and facts as they were last saved, or None if there is nothing of this fit."""
        if self._path is None or not self._path.exists():
            return None
        try:
            metadata = checked_tensors.read_metadata(self._path)
            if metadata["identity"] != self._identity:
                log.info("%s: belongs to another fit, starting anew", self._path)
                return None
            facts: dict[str, Any] = json.loads(metadata["facts"])
            tensors = checked_tensors.read(self._path)
        except (DamagedFileError, ValueError, KeyError, TypeError):
            log.info("%s: damaged, starting anew", self._path)
            return None
        log.info("%s: going on from there", self._path)
        return tensors, facts

    def remove(self) -> None:
        """Forget the state: the fit is finished."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


NOTHING_KEPT = Checkpoint()
"""For a fit that need not survive a kill."""
