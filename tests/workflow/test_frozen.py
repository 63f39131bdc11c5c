"""Figures come from the committed scores alone."""

import filecmp
import json
import os
import subprocess
import sys

import pytest

from unweave.config import PROJECT, read_yaml
from unweave.files import sha256_of
from unweave.plan import Plan, read_figures

FIGURES = read_figures(PROJECT / "config/figures.yaml")


@pytest.fixture
def without_torch(tmp_path) -> dict[str, str]:
    """An environment in which importing torch or transformers fails."""
    for package in ("torch", "transformers", "datasets"):
        (tmp_path / "blocked" / package).mkdir(parents=True)
        (tmp_path / "blocked" / package / "__init__.py").write_text(
            f"raise ImportError('{package} is not to be imported')"
        )
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "blocked"), str(PROJECT / "src")])}


@pytest.mark.parametrize("name", ["comparison/nulls", "sasa/fig2_redundancy"])
def test_a_figure_is_drawn_again_to_the_byte_without_torch(name, without_torch, tmp_path):
    paper, _, item = name.partition("/")
    entry = FIGURES[paper][item]
    plan = Plan(read_yaml(PROJECT / "config/config.yaml"))
    titles = {
        "methods": {fit.method: plan.methods[fit.method].title for fit in plan.fits},
        "datasets": {name: plan.datasets[corpus.dataset].title for name, corpus in plan.config.corpora.items()},
        "models": {model: plan.models[model].title for model in plan.config.harvest},
    }
    scores = [str(PROJECT / f"resources/frozen/{evaluation}.parquet") for evaluation in entry.needs]
    output = tmp_path / f"{item}.ipynb"
    command = [sys.executable, "-m", "unweave", "figure", str(PROJECT / entry.notebook), *scores]
    command += ["--spec", json.dumps({"titles": titles}), "--output", str(output)]
    run = subprocess.run(command, env=without_torch, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for suffix in (".csv", ".png", ".svg"):
        assert filecmp.cmp(output.with_suffix(suffix), PROJECT / "figures" / f"{name}{suffix}", shallow=False), suffix


def test_the_frozen_tables_are_those_that_the_sums_name():
    lines = (PROJECT / "resources/frozen/SHA256SUMS").read_text(encoding="utf-8").splitlines()
    named = {name: digest for digest, name in (line.split() for line in lines)}
    found = {path.name: sha256_of(path) for path in (PROJECT / "resources/frozen").glob("*.parquet")}
    assert found == named
