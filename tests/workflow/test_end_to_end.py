import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from unweave.config import PROJECT, read_yaml
from unweave.results.scores import COLUMNS

ITEMS = ("fig3_nongaussianity", "fig7_reconstruction", "sparse_probing", "bank_case_study")

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize("item", ITEMS)
def test_every_figure_exists_and_its_data_are_finite(finished_run, item):
    stem = finished_run.folder / "figures" / "ica" / item
    image = imread(stem.with_suffix(".png"))
    assert image.std() > 0.01, "the picture is blank"
    assert stem.with_suffix(".svg").read_text(encoding="utf-8").lstrip().startswith("<?xml")
    data = pd.read_csv(stem.with_suffix(".csv"))
    assert len(data) > 0
    assert np.isfinite(data["value"]).all()


@pytest.mark.parametrize("item", ITEMS)
def test_every_executed_notebook_is_kept_without_clock_times(finished_run, item):
    notebook = json.loads((finished_run.folder / "figures" / "ica" / f"{item}.ipynb").read_text(encoding="utf-8"))
    assert "papermill" not in notebook["metadata"]
    assert all(cell["execution_count"] for cell in notebook["cells"] if cell["cell_type"] == "code")


def test_every_score_table_has_the_published_columns_and_finite_values(finished_run):
    tables = sorted((finished_run.folder / "results" / "scores").rglob("*.parquet"))
    assert len(tables) == 25
    for path in tables:
        table = pd.read_parquet(path)
        assert list(table.columns) == list(COLUMNS)
        assert np.isfinite(table["value"]).all()
        bounded = table.dropna(subset=["ci_low", "ci_high"])
        assert (bounded["ci_low"] <= bounded["ci_high"]).all()


def test_the_model_passed_its_sanity_perplexity(finished_run):
    manifest = json.loads((finished_run.folder / "results/models/smollm2/manifest.json").read_text(encoding="utf-8"))
    assert 1 < manifest["sanity"]["perplexity"] < manifest["sanity"]["max_perplexity"]


def test_every_job_left_a_log_a_benchmark_and_its_provenance(finished_run):
    folder = finished_run.folder
    outputs = [*folder.glob("results/scores/**/*.parquet"), *folder.glob("results/dictionaries/**/manifest.json")]
    assert outputs
    for output in outputs:
        provenance = json.loads(output.with_name(f".{output.name}.provenance.json").read_text(encoding="utf-8"))
        assert provenance["inputs"]
        assert provenance["packages"]["torch"]
    jobs = sorted(path.relative_to(folder / "logs/benchmarks") for path in folder.glob("logs/benchmarks/**/*.jsonl"))
    assert len(jobs) > 30
    assert all((folder / "logs" / job.with_suffix(".log")).exists() for job in jobs)


def test_a_second_run_has_nothing_to_do(finished_run):
    assert finished_run.snakemake().nothing_to_do


def test_the_explorer_is_made_when_it_is_asked_for(finished):
    site = finished.folder / "results/explorer"
    assert not site.exists()
    call = finished.snakemake("explorer")
    assert call.status == 0, call.output
    assert (site / "index.html").is_file()
    methods = {path.parts[-3] for path in site.glob("data/**/table.js")}
    assert methods == {"ica-v2", "pca", "transcoder"}
    assert finished.snakemake("explorer").nothing_to_do


def test_the_report_holds_every_figure(finished_run):
    import zipfile

    call = finished_run.snakemake("--report", "results/report.zip")
    assert call.status == 0, call.output
    with zipfile.ZipFile(finished_run.folder / "results/report.zip") as report:
        names = " ".join(report.namelist())
        assert all(f"{item}.png" in names or item in names for item in ITEMS)


def test_the_report_names_what_was_planned(fresh):
    for arguments in (["figures/checklist.csv"], ["--report", "report.html", "--", "figures/checklist.csv"]):
        call = fresh.snakemake(*arguments, profile="default")
        assert call.status == 0, call.output
    planned = read_yaml(PROJECT / "config/config.yaml")
    shown = (fresh.folder / "report.html").read_text(encoding="utf-8")
    assert f"({len(planned['corpora'])} corpora,\\nmodels {', '.join(planned['harvest'])})" in shown
