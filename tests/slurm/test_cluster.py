"""The slurm profile on a real SLURM of one node. Slow, and for root on Debian alone: `make slurm-test`."""

import os
import re
import subprocess
import threading
import time
from pathlib import Path

import pytest
from checkout import Call, Checkout

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif("UNWEAVE_SLURM" not in os.environ, reason="starts a SLURM on this machine: make slurm-test"),
]

# What differs from a cluster: no accounts, no data base to ask, and no waiting for a network file system.
LOCAL = (
    "--configfile=slurm.yaml",
    "--slurm-no-account",
    "--slurm-status-command=squeue",
    "--slurm-init-seconds-before-status-checks=2",
    "--seconds-between-status-checks=2",
    "--latency-wait=10",
)


def submit(checkout: Checkout, *arguments: str, **environment: str) -> Call:
    return checkout.snakemake(*LOCAL, *arguments, profile="slurm", **environment)


def jobs() -> list[dict[str, str]]:
    """What the controller knows of each job."""
    shown = subprocess.run(["scontrol", "show", "jobs", "--oneliner"], capture_output=True, text=True, check=True)
    return [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.stdout.splitlines()]


def jobs_of(name: str) -> list[dict[str, str]]:
    return [job for job in jobs() if job.get("Comment", "").startswith(f"rule_{name}")]


def contents(checkout: Checkout) -> dict[str, bytes]:
    """Dictionaries and scores."""
    results = checkout.folder / "results"
    paths = [*results.glob("dictionaries/**/*.safetensors"), *results.glob("scores/**/*.parquet")]
    return {str(path.relative_to(results)): path.read_bytes() for path in paths if not path.name.startswith(".")}


@pytest.fixture(scope="module")
def finished(submitted: Checkout) -> Checkout:
    call = submit(submitted)
    assert call.status == 0, call.output
    return submitted


def test_the_workflow_runs_through_sbatch_to_its_figure(finished):
    assert (finished.folder / "figures/ica/fig3_nongaussianity.png").exists()
    assert len(contents(finished)) == 8
    assert submit(finished).nothing_to_do


def test_a_job_that_failed_is_tried_again_with_more_memory(finished):
    first, second = jobs_of("fit_wildcards_smollm2_resid_2_pca")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("3000M", "6000M")


def test_jobs_go_to_the_partition_of_their_resources(finished):
    assert {job["Partition"] for job in jobs_of("fit") + jobs_of("harvest")} == {"gpu"}
    assert {job["Partition"] for job in jobs_of("text") + jobs_of("evaluations")} == {"cpu"}


def test_jobs_that_run_at_once_see_different_gpus(finished):
    devices = [(finished.folder / f"device.{corpus}").read_text() for corpus in ("news", "news-heldout")]
    assert sorted(devices) == ["0\n", "1\n"]


def test_evaluations_share_one_submission_and_the_memory_of_one(finished):
    (job,) = jobs_of("evaluations")
    assert len(list(finished.folder.glob("results/scores/**/*.parquet"))) == 6
    assert job["MinMemoryNode"] == "4000M"
    assert job["NumCPUs"] == "1"


def test_logs_lie_where_the_page_says(finished):
    logs = finished.folder / "logs"
    assert list(logs.glob("slurm/rule_fit/*/*.log"))
    assert list(logs.glob("slurm/group_evaluations_evaluate/*.log"))
    assert (logs / "fit/smollm2/resid/L2/pca/seed0.log").exists()
    assert (logs / "evaluate/core/smollm2/resid/L2/pca/seed0.log").exists()


def cancel_the_fit_when(manifest: Path) -> None:
    """Kill the running fit as soon as it has written its dictionary and before it has ended."""
    started = time.monotonic()
    while not manifest.exists() and time.monotonic() - started < 120:
        time.sleep(0.2)
    for job in jobs_of("fit"):
        if job["JobState"] == "RUNNING":
            subprocess.run(["scancel", job["JobId"]], check=True)


def test_a_cancelled_job_resumes_by_the_same_command_to_the_same_content(finished):
    before = contents(finished)
    manifest = finished.folder / "results/dictionaries/smollm2/resid/L2/random/seed0/manifest.json"
    manifest.unlink()
    killer = threading.Thread(target=cancel_the_fit_when, args=(manifest,))
    killer.start()
    cut_short = submit(finished, "--retries=0", HOLD="120")
    killer.join()
    assert cut_short.status != 0
    assert "CANCELLED" in {job["JobState"] for job in jobs_of("fit_wildcards_smollm2_resid_2_random")}
    resumed = submit(finished, "--retries=0")
    assert resumed.status == 0, resumed.output
    assert resumed.counts["fit"] == 1
    assert "harvest_smollm2" not in resumed.counts
    assert contents(finished) == before
