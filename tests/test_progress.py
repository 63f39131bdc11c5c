import io
import logging
import re
import sys

import pytest

from unweave import progress
from unweave.progress import meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_log_line_tells_rate_and_time_left_without_counting_what_was_there_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    caplog.set_level(logging.INFO)
    with meter("tiny reads news", total=10_000, done=4000) as advance:
        clock.now += 10
        advance(500)
        assert caplog.messages == []
        clock.now += 25
        advance(200)
    assert caplog.messages == ["tiny reads news: 4,700 of 10,000 tokens, 20 tokens/s, 4 min 25 s left"]


def test_a_log_line_names_the_unit_and_the_note(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    caplog.set_level(logging.INFO)
    with meter("SNMF", total=100, unit="iterations") as advance:
        clock.now += 40
        advance(20, "loss 0.5")
    assert caplog.messages == ["SNMF: 20 of 100 iterations, 0.5 iterations/s, 2 min 40 s left, loss 0.5"]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with meter("tiny reads news", total=1000, done=0) as advance:
        advance(500, "loss 0.75")
        advance(500, "loss 0.5")
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.getvalue())
    assert "tiny reads news" in plain
    assert "100 %" in plain
    assert "tokens/s" in plain
    assert "loss 0.5" in plain
