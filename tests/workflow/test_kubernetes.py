"""What the kubernetes profile says to kubectl, for which a stand-in answers."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from unweave.config import PROJECT

PROFILE = PROJECT / "workflow/profiles/kubernetes"


@pytest.fixture
def kubectl(tmp_path: Path):
    """Call a script of the profile where kubectl keeps what it was given and prints an answer."""

    def call(script: str, *arguments: str, answer: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        program = tmp_path / "kubectl"
        program.write_text(f"#!/bin/sh\necho \"$@\" >{tmp_path}/arguments\ncat >{tmp_path}/input\necho '{answer}'\n")
        program.chmod(0o755)
        return subprocess.run(
            [str(PROFILE / script), *arguments],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **environment},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_submission_states_resources_image_and_shared_volume(kubectl, tmp_path):
    place = {"UNWEAVE_IMAGE": "unweave:1", "UNWEAVE_CLAIM": "work", "UNWEAVE_MOUNT": "/unweave"}
    call = kubectl("submit.sh", "2", "4000", "90", "1", "job.sh", answer="job.batch/unweave-x7", **place)
    assert call.stdout == "job.batch/unweave-x7\n"
    job = yaml.safe_load((tmp_path / "input").read_text())["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert job["activeDeadlineSeconds"] == 5400
    assert container["image"] == "unweave:1"
    assert container["command"] == ["sh", "job.sh"]
    assert container["workingDir"] == str(tmp_path)
    assert container["resources"]["requests"] == {"cpu": "2", "memory": "4000M"}
    assert container["resources"]["limits"] == {"memory": "4000M", "nvidia.com/gpu": "1"}
    (volume,) = job["template"]["spec"]["volumes"]
    (mount,) = container["volumeMounts"]
    assert mount == {"name": volume["name"], "mountPath": "/unweave"}
    assert volume["persistentVolumeClaim"] == {"claimName": "work"}


def test_a_submission_without_an_image_is_refused(kubectl):
    call = kubectl("submit.sh", "2", "4000", "90", "1", "job.sh")
    assert call.returncode != 0
    assert "UNWEAVE_IMAGE: name the container image" in call.stderr


@pytest.mark.parametrize(
    ("condition", "status"),
    [("SuccessCriteriaMet Complete", "success"), ("FailureTarget Failed", "failed"), ("", "running")],
)
def test_the_state_of_a_job_is_told_in_words_that_snakemake_knows(kubectl, condition, status):
    assert kubectl("status.sh", "job.batch/unweave-x7", answer=condition).stdout.strip() == status
