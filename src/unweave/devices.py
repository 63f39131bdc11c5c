"""Which GPU a job computes on, so that jobs that run at once on one machine do not meet on one device."""

import fcntl
import os
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO

from unweave.errors import UnweaveError

LOCKS = Path(tempfile.gettempdir()) / f"unweave-gpus-{os.getuid()}"
WAIT_SECONDS = 0.2
_held: list[IO[str]] = []


def visible_gpus() -> list[str]:
    """GPUs that this process may use: those of CUDA_VISIBLE_DEVICES, which a scheduler sets, or all that are there.

    Without the variable they are numbered from 0, as CUDA does, also in a container that sees only some of them. A CPU
    build of torch can use none.
    """
    if not _torch_can_use_gpus():
        return []
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    return [str(index) for index, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _torch_can_use_gpus() -> bool:
    try:
        return not version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def claim_gpu(gpus: list[str], timeout: float = 600.0) -> str | None:
    """Wait for a GPU of `gpus` that no other job of this user holds, and hold it until this process ends.

    Returns None if there are none. The lock is the kernel's: a killed job holds nothing.

    Raises
    ------
    UnweaveError
        if none is free within `timeout` seconds.
    """
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    waited_until = time.monotonic() + timeout
    while gpus:
        for name in gpus:
            lock = (LOCKS / f"{name.replace('/', '_')}.lock").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            _held.append(lock)
            return name
        if time.monotonic() > waited_until:
            raise UnweaveError(
                f"no GPU of {', '.join(gpus)} became free in {timeout:.0f} s: run with --resources gpu={len(gpus)}, "
                "the number of GPUs, so that no more jobs start"
            )
        time.sleep(WAIT_SECONDS)
    return None
