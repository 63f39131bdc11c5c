"""A tenth of the trials of `make faults`."""

import json
import os
import subprocess
import sys
from itertools import chain

import pytest
from tests.faults.__main__ import RESULTS

from unweave.config import PROJECT


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """Counts of the short form, run in a process of its own: it forks."""
    counts = tmp_path_factory.mktemp("faults") / "counts.json"
    path = os.pathsep.join([str(PROJECT / "src"), str(PROJECT)])
    command = [sys.executable, "-m", "tests.faults", "--short", str(counts)]
    environment = {**os.environ, "PYTHONPATH": path}
    run = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(counts.read_text(encoding="utf-8"))


def test_no_fault_loses_a_result_or_ends_in_an_unclear_error(short_run):
    assert short_run["trials"] >= 20
    assert short_run["faults"] >= 15
    assert (short_run["losses"], short_run["unclear"]) == (0, 0)
    assert short_run["recovered"] > 0
    assert short_run["clear"] > 0


def test_the_committed_counts_are_of_hundreds_of_trials_of_every_stage_and_add_up():
    counts = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert counts["trials"] >= 300
    assert {"fetch", "text", "model", "harvest", "fit", "evaluate", "figure"} <= counts["by_stage"].keys()
    for group in (counts["by_kind"], counts["by_stage"]):
        assert sum(kind["trials"] for kind in group.values()) == counts["trials"]
    for part in chain([counts], counts["by_kind"].values(), counts["by_stage"].values()):
        assert part["faults"] == sum(part[ended] for ended in ("recovered", "clear", "unclear", "losses"))


def test_the_committed_counts_have_no_loss_and_no_unclear_error():
    counts = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert {kind: (part["losses"], part["unclear"]) for kind, part in counts["by_kind"].items()} == dict.fromkeys(
        counts["by_kind"], (0, 0)
    )
