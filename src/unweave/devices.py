"""Which GPU a job computes on, so that jobs that run at once on one machine do not meet on one device."""

import fcntl
import os
import stat
import tempfile
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from unweave.errors import UnweaveError

LOCKS = Path(tempfile.gettempdir()) / f"unweave-gpus-{os.getuid()}"
WAIT_SECONDS = 0.2
_held: list[int] = []


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


def _require_own_folder(folder: Path) -> None:
    """Anybody may write into the temporary folder: a folder or link that another planted there is not used."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o777 != 0o700:
        raise UnweaveError(f"{folder}: is not a folder of this user alone (mode 700), and locks lie there: delete it")


def _opened(lock: Path) -> int:
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UnweaveError(f"{lock}: cannot be opened as a lock ({error.strerror}): delete it") from None


def claim_gpu(gpus: list[str], timeout: float = 600.0) -> str | None:
    """Wait for a GPU of `gpus` that no other job of this user holds, and hold it until this process ends.

    Returns None if there are none. The lock is the kernel's: a killed job holds nothing.

    Raises
    ------
    UnweaveError
        if none is free within `timeout` seconds, or the folder of the locks is not this user's own.
    """
    _require_own_folder(LOCKS)
    waited_until = time.monotonic() + timeout
    while gpus:
        for name in gpus:
            lock = _opened(LOCKS / f"{name.replace('/', '_')}.lock")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
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
