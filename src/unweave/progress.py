"""Showing how far a long job is, how fast it goes and how long it will still take."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

log = logging.getLogger(__name__)
LINE_EVERY_S = 30.0


class Advance(Protocol):
    """What a job calls whenever it has done some more."""

    def __call__(self, count: int, note: str = "") -> None:
        """`count` units were just done; `note` is what is worth showing now, such as a loss."""


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"


class _Rate(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{_rounded(task.speed or 0)} {self.unit}/s")


class _LogLines:
    def __init__(self, title: str, total: int, done: int, unit: str) -> None:
        self.title, self.total, self.start, self.done, self.unit = title, total, done, done, unit
        self.began = self.said = time.monotonic()

    def advance(self, count: int, note: str = "") -> None:
        self.done += count
        now = time.monotonic()
        if now - self.said < LINE_EVERY_S:
            return
        self.said = now
        rate = (self.done - self.start) / (now - self.began)
        left = max(self.total - self.done, 0) / max(rate, 1e-9)
        log.info(
            "%s: %s of %s %s, %s %s/s, %.0f min %02.0f s left%s",
            self.title, f"{self.done:,}", f"{self.total:,}", self.unit, _rounded(rate), self.unit,
            left // 60, left % 60, note and f", {note}",
        )  # fmt: skip


@contextmanager
def meter(title: str, total: int, done: int = 0, unit: str = "tokens") -> Iterator[Advance]:
    """Yield a function to call with each number of units that were just done.

    It draws a bar on standard error if that is a terminal and writes a log line every half a minute otherwise. `done`
    units of the `total` were there before and do not count for the rate.
    """
    if not sys.stderr.isatty():
        yield _LogLines(title, total, done, unit).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    note = TextColumn("{task.fields[note]}")
    with Progress(*columns, _Rate(unit), TimeRemainingColumn(), note, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")
        yield lambda count, note="": bar.update(task, advance=count, note=note)
