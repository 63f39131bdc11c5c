"""What this machine can do: the rate of dense matrix products, which bounds every method, and its memory."""

import statistics
import time
from pathlib import Path

import torch


def gemm_rate(rows: int, inner: int, columns: int, dtype: torch.dtype = torch.float32, repetitions: int = 7) -> float:
    """Floating-point operations per second of (rows, inner) @ (inner, columns), median over repetitions."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(rows, inner, generator=generator).to(dtype)
    b = torch.randn(inner, columns, generator=generator).to(dtype)
    out = torch.empty(rows, columns, dtype=dtype)
    torch.mm(a, b, out=out)
    times = []
    for _ in range(repetitions):
        start = time.perf_counter()
        torch.mm(a, b, out=out)
        times.append(time.perf_counter() - start)
    return 2 * rows * inner * columns / statistics.median(times)


def memory_bytes(field: str) -> int:
    """VmRSS (now) or VmHWM (the peak since `forget_peak`) of this process, from /proc (Linux only)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


def forget_peak() -> None:
    """Let VmHWM start again from the present."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
