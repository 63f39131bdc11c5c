"""The notebooks draw what the committed scores hold, as the workflow runs them."""

import re
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import pytest
from tests.plots.legibility import cut_off, meeting

from unweave.config import PROJECT, read_yaml
from unweave.notebook import execute
from unweave.plan import Plan, read_figures
from unweave.results.references import read
from unweave.results.scores import write

FIGURES = read_figures(PROJECT / "config/figures.yaml")
ITEMS = {f"{paper}/{item}": entry for paper, items in FIGURES.items() for item, entry in items.items()}
SYNTHETIC = ("fig3_nongaussianity", "fig7_reconstruction", "sparse_probing", "bank_case_study")
FROZEN = PROJECT / "resources/frozen"


@pytest.fixture(params=ITEMS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def run_titles() -> dict:
    plan = Plan(read_yaml(PROJECT / "config/config.yaml"))
    return {
        "methods": {method: entry.title for method, entry in plan.methods.items()},
        "datasets": {name: plan.datasets[corpus.dataset].title for name, corpus in plan.config.corpora.items()},
        "models": {model: entry.title for model, entry in plan.models.items()},
    }


def test_each_notebook_is_short_and_holds_no_output(name):
    source = PROJECT / ITEMS[name].notebook
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 80
    notebook = jupytext.read(source)
    assert notebook.metadata.kernelspec["name"] == "python3"
    assert [cell.metadata.get("tags") for cell in notebook.cells].count(["parameters"]) == 1
    assert sum(cell.cell_type == "code" for cell in notebook.cells) == 3


def test_each_item_has_what_was_published_on_file(name):
    paper, _, item = name.partition("/")
    if paper != "comparison" and item != "errata":
        assert len(read(paper).table(item))


def test_each_notebook_draws_a_legible_figure_from_the_committed_scores(name, run_titles, tmp_path, monkeypatch):
    scores = [FROZEN / f"{evaluation}.parquet" for evaluation in ITEMS[name].needs]
    monkeypatch.chdir(tmp_path)
    variables: dict = {}
    for cell in jupytext.read(PROJECT / ITEMS[name].notebook).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, name, "exec"), variables)  # noqa: S102
        if "parameters" in cell.metadata.get("tags", []):
            variables |= {"scores": scores, "stem": "drawn", "titles": run_titles}
    suffixes = {path.suffix for path in tmp_path.iterdir()}
    wanted = {".png", ".svg", ".csv"} | ({".md", ".tex"} if ITEMS[name].kind == "table" else set())
    assert suffixes == wanted
    assert len(pd.read_csv("drawn.csv"))
    assert not cut_off(variables["figure"])
    assert not meeting(variables["figure"])


@pytest.mark.parametrize("item", SYNTHETIC)
def test_a_notebook_is_executed_as_the_workflow_does_it(item, synthetic, titles, tmp_path):
    entry = FIGURES["ica"][item]
    scores = synthetic("small", *entry.needs)
    paths = []
    for number, (_, rows) in enumerate(scores.groupby(["evaluation", "method"])):
        paths.append(tmp_path / f"{number}.parquet")
        write(paths[-1], rows.reset_index(drop=True))
    written = execute(PROJECT / entry.notebook, tmp_path / f"{item}.ipynb", paths, {"titles": titles})
    assert {path.suffix for path in written} == {".png", ".svg", ".csv", ".ipynb", ".html"}
    assert all(path.stat().st_size for path in written)
    assert len(pd.read_csv(tmp_path / f"{item}.csv"))
    assert_says_what_we_see(tmp_path / f"{item}.ipynb")
    page = (tmp_path / f"{item}.html").read_text(encoding="utf-8")
    assert f'<img src="{item}.png"' in page
    assert "://" not in page.partition("<body>")[0]
    assert not re.findall(r'src="http', page)


def assert_says_what_we_see(path: Path) -> None:
    last = nbformat.read(path, as_version=4).cells[-1]
    text = last.outputs[0]["data"]["text/markdown"]
    assert "**This run**: SmolLM2-135M-Instruct" in text
    assert "**The paper**" in text
