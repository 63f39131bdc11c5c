"""A copy of the project in which the real workflow has run once, in its smallest form."""

import os
import shutil
from pathlib import Path

import pytest
from checkout import Checkout, copy_of_project


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    """The project as cloned: nothing has run."""
    return copy_of_project(tmp_path)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The project after one whole run of config/ci.yaml: real model, real text, few tokens."""
    checkout = copy_of_project(tmp_path_factory.mktemp("finished"))
    run = checkout.snakemake()
    assert run.status == 0, run.output
    return checkout


@pytest.fixture
def finished(finished_run: Checkout, tmp_path: Path) -> Checkout:
    """A view of the finished run whose sources may be edited; its results are shared and must not be rewritten."""
    checkout = copy_of_project(tmp_path)
    for name in ("results", "figures", ".snakemake"):
        shutil.copytree(finished_run.folder / name, checkout.folder / name, symlinks=True, copy_function=os.link)
    return checkout
