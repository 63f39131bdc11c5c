"""The notebooks run as the workflow runs them, on synthetic scores."""

from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import pytest
import yaml

from unweave.config import PROJECT, FigureEntry
from unweave.notebook import execute
from unweave.results.references import read
from unweave.results.scores import write

FIGURES = {
    item: FigureEntry.model_validate(entry)
    for item, entry in yaml.safe_load((PROJECT / "config/figures.yaml").read_text(encoding="utf-8"))["ica"].items()
}


@pytest.fixture(params=FIGURES)
def item(request) -> str:
    return request.param


def test_each_notebook_is_short_and_holds_no_output(item):
    source = PROJECT / FIGURES[item].notebook
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 60
    notebook = jupytext.read(source)
    assert notebook.metadata.kernelspec["name"] == "python3"
    assert [cell.metadata.get("tags") for cell in notebook.cells].count(["parameters"]) == 1
    assert sum(cell.cell_type == "code" for cell in notebook.cells) == 3


def test_each_item_has_published_values_on_file(item):
    assert len(read("ica").table(item))


def test_each_notebook_draws_its_figure_and_says_what_it_shows(item, synthetic, titles, tmp_path):
    scores = synthetic("small", *FIGURES[item].needs)
    paths = []
    for number, (_, rows) in enumerate(scores.groupby(["evaluation", "method"])):
        paths.append(tmp_path / f"{number}.parquet")
        write(paths[-1], rows.reset_index(drop=True))
    written = execute(PROJECT / FIGURES[item].notebook, tmp_path / f"{item}.ipynb", paths, {"titles": titles})
    assert {path.suffix for path in written} == {".png", ".svg", ".csv", ".ipynb"}
    assert all(path.stat().st_size for path in written)
    assert len(pd.read_csv(tmp_path / f"{item}.csv"))
    assert_says_what_we_see(tmp_path / f"{item}.ipynb")


def assert_says_what_we_see(path: Path) -> None:
    last = nbformat.read(path, as_version=4).cells[-1]
    text = last.outputs[0]["data"]["text/markdown"]
    assert "**This run**: SmolLM2-135M-Instruct" in text
    assert "**The paper**" in text
