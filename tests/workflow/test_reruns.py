import os

import pytest

pytestmark = pytest.mark.workflow
PAGE = ("index", "all")
"""What every redrawn figure is shown on."""


def test_touching_every_source_file_leaves_nothing_to_do(finished):
    for part in ("Snakefile", "config", "workflow", "src", "resources"):
        path = finished.folder / part
        for file in [path] if path.is_file() else path.rglob("*"):
            os.utime(file)
    assert finished.dry_run().nothing_to_do


def test_editing_a_comment_or_docstring_leaves_nothing_to_do(finished):
    finished.edit("src/unweave/methods/pca.py", lambda text: text + "\n# a remark\n")
    finished.edit("src/unweave/activations/harvest.py", lambda text: text.replace('"""', '"""Changed. ', 1))
    assert finished.dry_run().nothing_to_do


def test_editing_a_command_leaves_nothing_to_do(fresh):
    done = fresh.snakemake("figures/checklist.csv")
    assert done.status == 0, done.output
    fresh.edit("workflow/rules/figures.smk", lambda text: text.replace("--output {output:q}", "--output  {output:q}"))
    assert fresh.dry_run("figures/checklist.csv").nothing_to_do


def test_editing_one_method_reruns_only_what_depends_on_it(finished):
    finished.edit("src/unweave/methods/pca.py", lambda text: text + "\nEXTRA = 1\n")
    jobs = finished.dry_run().jobs
    assert {wildcards["method"] for rule, wildcards in jobs if rule in ("fit", "evaluate")} == {"pca"}
    assert {rule for rule, _ in jobs} == {"fit", "evaluate", "figure", *PAGE}
    assert sum(rule == "fit" for rule, _ in jobs) == 1


def test_editing_one_evaluation_reruns_only_its_scores_and_figures(finished):
    finished.edit("src/unweave/evaluations/sparse_probing.py", lambda text: text + "\nEXTRA = 1\n")
    jobs = finished.dry_run().jobs
    assert {wildcards["evaluation"] for rule, wildcards in jobs if rule == "evaluate"} == {"sparse-probing"}
    assert {wildcards["item"] for rule, wildcards in jobs if rule == "figure"} == {"sparse_probing"}
    assert {rule for rule, _ in jobs} == {"evaluate", "figure", *PAGE}


def test_editing_a_notebook_reruns_only_that_notebook(finished):
    notebook = "workflow/notebooks/ica/bank_case_study.py"
    finished.edit(notebook, lambda text: text + "\n# %%\nassert scores\n")
    jobs = [(rule, wildcards) for rule, wildcards in finished.dry_run().jobs if rule not in PAGE]
    assert jobs == [("figure", {"paper": "ica", "item": "bank_case_study"})]


def test_editing_a_drawing_function_reruns_only_the_figures_that_call_it(finished):
    finished.edit("src/unweave/plots/sentence_traces.py", lambda text: text + "\nEXTRA = 1\n")
    jobs = [(rule, wildcards) for rule, wildcards in finished.dry_run().jobs if rule not in PAGE]
    assert jobs == [("figure", {"paper": "ica", "item": "bank_case_study"})]


def test_changing_one_setting_in_a_registry_reruns_only_that_entry(finished):
    finished.edit(
        "config/methods.yaml",
        lambda text: text.replace("row_norm: false\n\nrandom-rownorm", "row_norm: true\n\nrandom-rownorm"),
    )
    jobs = finished.dry_run().jobs
    assert {wildcards["method"] for rule, wildcards in jobs if rule in ("fit", "evaluate")} == {"random"}


def test_a_figure_that_came_with_the_clone_does_not_pass_for_a_result(fresh):
    (fresh.folder / "figures" / "ica").mkdir(parents=True)
    for suffix in (".png", ".svg", ".csv", ".ipynb"):
        (fresh.folder / "figures" / "ica" / f"sparse_probing{suffix}").touch()
    for target in ("all", "ica", "ica_sparse_probing"):
        assert fresh.dry_run(target).counts["figure"] > 0
