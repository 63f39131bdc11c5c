"""Showing how far a long job is, how fast it goes and how long it will still take."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

log = logging.getLogger(__name__)
LINE_EVERY_S = 30.0


class _Rate(ProgressColumn):
    """Tokens per second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} tokens/s")


class _LogLines:
    def __init__(self, title: str, total: int, done: int) -> None:
        self.title, self.total, self.start, self.done = title, total, done, done
        self.began = self.said = time.monotonic()

    def advance(self, tokens: int) -> None:
        self.done += tokens
        now = time.monotonic()
        if now - self.said < LINE_EVERY_S:
            return
        self.said = now
        rate = (self.done - self.start) / (now - self.began)
        left = max(self.total - self.done, 0) / max(rate, 1e-9)
        log.info(
            "%s: %s of %s tokens, %.0f tokens/s, %.0f min %02.0f s left",
            self.title, f"{self.done:,}", f"{self.total:,}", rate, left // 60, left % 60,
        )  # fmt: skip


@contextmanager
def token_meter(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with each number of tokens that were just done.

    It draws a bar on standard error if that is a terminal and writes a log line every half a minute otherwise. `done`
    tokens of the `total` were there before and do not count for the rate.
    """
    if not sys.stderr.isatty():
        yield _LogLines(title, total, done).advance
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    with Progress(*columns, _Rate(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda tokens: bar.advance(task, tokens)
