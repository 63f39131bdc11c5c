import re
from importlib.util import find_spec

import pytest
from checkout import Call, Checkout

from unweave.config import PROJECT, read_yaml

PLAN_ITEMS = [item for items in read_yaml(PROJECT / "config/config.yaml")["figures"].values() for item in items]
pytestmark = pytest.mark.workflow

PROFILES = sorted(path.name for path in (PROJECT / "workflow/profiles").iterdir() if path.is_dir())
JOBS = {
    "config.yaml": {
        "fetch": 3,
        "model": 2,
        "text": 6,
        "harvest_smollm2": 10,
        "harvest_smollm2-untrained": 2,
        "fit": 57,
        "figure": 42,
        "table": 17,
    },
    "ci.yaml": {"fetch": 3, "model": 1, "text": 3, "harvest_smollm2": 4, "fit": 5, "evaluate": 25, "figure": 4},
}
PAPER_JOBS = {
    "ica": {"model": 2, "text": 5, "fit": 266, "evaluate": 872},
    "bae": {"model": 2, "text": 2, "harvest_llama32-1b": 4, "harvest_llama32-3b": 4, "fit": 27, "evaluate": 137},
    "snmf": {"model": 4, "text": 2, "harvest_gpt2": 3, "harvest_llama31-8b": 3, "fit": 62, "evaluate": 141},
    "sasa": {"model": 2, "text": 2, "harvest_gpt2": 3, "harvest_mistral-7b": 3, "fit": 17, "evaluate": 107},
}


def plan(checkout: Checkout, profile: str, config: str) -> Call:
    """A dry run, which Snakemake refuses without the plugin of the profile's executor."""
    settings = read_yaml(PROJECT / f"workflow/profiles/{profile}/profile.v9+.yaml")
    plugin = f"snakemake_executor_plugin_{settings.get('executor', 'local').replace('-', '_')}"
    if "executor" in settings and not find_spec(plugin):
        pytest.skip(f"{plugin} is not installed")
    return checkout.dry_run("--configfile", f"config/{config}", profile=profile)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("config", JOBS)
def test_every_profile_plans_every_configuration(fresh, profile, config):
    counts = plan(fresh, profile, config).counts
    assert {rule: counts[rule] for rule in JOBS[config]} == JOBS[config]


@pytest.mark.parametrize("paper", PAPER_JOBS)
def test_the_papers_own_runs_can_be_planned(fresh, paper):
    counts = plan(fresh, "gpu", f"paper/{paper}.yaml").counts
    assert {rule: counts[rule] for rule in PAPER_JOBS[paper]} == PAPER_JOBS[paper]


@pytest.mark.parametrize("profile", ["slurm", "cluster", "kubernetes"])
def test_on_a_cluster_twenty_evaluations_make_one_submission_without_a_gpu(fresh, profile):
    dry_run = plan(fresh, profile, "ci.yaml")
    assert dry_run.counts["evaluate"] == 25
    assert dry_run.output.count("Group job evaluations") == 2
    asked = re.findall(r"^        resources: .* gpu=(\d)", dry_run.output, flags=re.MULTILINE)
    assert asked == ["0"] * 25


def test_every_profile_is_listed_in_the_profiles_page():
    page = (PROJECT / "workflow/profiles/README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, flags=re.MULTILINE)) == set(PROFILES)


def test_every_profile_leaves_what_a_job_s_code_is_to_the_rules():
    profiles = [
        read_yaml(path) for name in PROFILES for path in PROJECT.glob(f"workflow/profiles/{name}/profile.v9+.yaml")
    ]
    assert len(profiles) == len(PROFILES)
    assert {tuple(profile["rerun-triggers"]) for profile in profiles} == {("mtime", "params", "input", "software-env")}


def test_every_compute_rule_has_log_benchmark_and_resources():
    for path in (PROJECT / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"\n *rule\b", path.read_text(encoding="utf-8"))[1:]:
            if "shell:" in rule:
                for directive in ("log:", "benchmark:", "threads:", "mem_mb=", "runtime="):
                    assert directive in rule, f"{path.name}: {rule[:40]!r} has no {directive}"


def test_the_readme_shows_the_rule_graph_of_the_workflow():
    from unweave.readme import rule_graph

    assert rule_graph() in (PROJECT / "README.md").read_text(encoding="utf-8")


def test_the_readme_lists_every_printed_item():
    from unweave.readme import checklist

    assert checklist() in (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["ica", "bae_fig2", "snmf_table2_neuron_groups", "scorecard"])
def test_a_paper_and_an_item_are_targets(fresh, target):
    counts = fresh.dry_run(target, profile="default").counts
    assert counts["figure"] + counts["table"] > 0
    assert "checklist" not in counts


@pytest.mark.parametrize(("config", "shown"), [("config.yaml", 8), ("ci.yaml", 3)])
def test_the_explorer_is_a_target_of_its_own(fresh, config, shown):
    chosen = ("--configfile", f"config/{config}", "--replace-workflow-config")
    counts = fresh.dry_run("explorer", *chosen).counts
    assert (counts["explore"], counts["explorer"], counts["fit"]) == (shown, 1, shown)
    assert not {"explore", "explorer"} & set(fresh.dry_run(*chosen).counts)


def test_the_explorer_reads_the_names_that_an_evaluation_gave_features(fresh):
    wanted = {
        wildcards["method"]
        for rule, wildcards in fresh.dry_run("explorer", profile="default").jobs
        if rule == "evaluate"
    }
    assert wanted == {"ica-v2", "bae", "sasa", "sae-topk", "pca", "random", "snmf"}


def test_frozen_figures_need_no_model_and_no_fit(fresh):
    counts = fresh.dry_run("--config", "frozen=true", "--forceall", profile="default").counts
    assert not {"model", "fit", "evaluate", "text"} & set(counts)
    assert counts["figure"] + counts["table"] == len(PLAN_ITEMS)
