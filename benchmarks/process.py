"""What a process costs, as the kernel says."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from unweave.config import PROJECT


def measured(command: Sequence[str], folder: Path | None = None) -> dict[str, float]:
    """CPU seconds and peak resident bytes of a command on one thread, called in `folder`; ends with it if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT / "src")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[:4])} ... ended with status {os.waitstatus_to_exitcode(status)}")
    return {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * 1024.0}
