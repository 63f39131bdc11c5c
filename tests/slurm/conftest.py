"""A SLURM of one node, and the workflow run through it once."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkout import Checkout, copy_of_project

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """SLURM runs; at the end it prints its jobs and stops."""
    one_node = str(HERE / "one_node.sh")
    subprocess.run([one_node, "up"], check=True)
    yield
    subprocess.run([one_node, "status"], check=True)
    subprocess.run([one_node, "down"], check=True)


@pytest.fixture(scope="session")
def submitted(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The project after one run of config.yaml through sbatch, in which the fit of PCA failed once."""
    checkout = copy_of_project(tmp_path_factory.mktemp("slurm"))
    shutil.copy(HERE / "config.yaml", checkout.folder / "slurm.yaml")
    fail_once = "[ {wildcards.method} != pca ] || [ -e failed ] || {{ touch failed; exit 1; }}; python -m unweave fit"
    hold = '--gpu {resources.gpu} > {log} 2>&1; sleep "${{HOLD:-0}}"'
    checkout.edit(
        "workflow/rules/methods.smk",
        lambda text: text.replace("python -m unweave fit", fail_once).replace(
            "--gpu {resources.gpu} > {log} 2>&1", hold.replace('"', '\\"')
        ),
    )
    show = 'echo "$CUDA_VISIBLE_DEVICES" > device.{wildcards.corpus}; sleep 5; python -m unweave harvest'
    checkout.edit(
        "workflow/rules/activations.smk",
        lambda text: text.replace("python -m unweave harvest", show.replace('"', '\\"')),
    )
    return checkout
