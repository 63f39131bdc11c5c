import json
from pathlib import Path

import pytest

from unweave.config import PROJECT, Plan, read_yaml
from unweave.costs.bill import compared
from unweave.costs.calibration import START_UP, measured_jobs, rates, read_rates, seconds, write_rates
from unweave.costs.work import evaluation_work, fit_work
from unweave.errors import UnweaveError

PLAN = Plan(read_yaml(PROJECT / "config/ci.yaml"), where="ci.yaml")


@pytest.fixture
def benchmarks(tmp_path: Path) -> Path:
    """Benchmark files as Snakemake writes them, of jobs that take 2e-9 s for each operation beyond their start-up."""

    def write(name: str, rule: str, seconds: float, **wildcards: str) -> None:
        content = {"rule_name": rule, "wildcards": wildcards, "cpu_time": seconds, "max_rss": 400.0}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(content) + "\n")

    for i, (fit, _) in enumerate(PLAN.fits.items()):
        keys = {**{key: str(value) for key, value in fit._asdict().items()}}
        write(f"fit{i}", "fit", START_UP + 2e-9 * fit_work(PLAN, fit).flops, **keys)
    for i, (name, fit) in enumerate(PLAN.scores):
        keys = {key: str(value) for key, value in fit._asdict().items()}
        work = evaluation_work(PLAN, name, fit)
        write(f"evaluate{i}", "evaluate", START_UP + 2e-9 * work.flops, evaluation=name, **keys)
    write("harvest", "harvest_smollm2", 30.0, corpus="news")
    write("fetch", "fetch", 1.0, wheel="some")
    return tmp_path


def test_rates_are_learned_from_benchmark_files(benchmarks: Path):
    jobs = measured_jobs(benchmarks, PLAN)
    known = rates(jobs)
    assert len(jobs) == len(PLAN.fits) + len(PLAN.scores) + 1
    large = [job for job in jobs if 2e-9 * job.work.flops > 1]
    assert large
    for job in large:
        assert seconds(job.work, known) == pytest.approx(job.seconds, rel=0.01)


def test_predictions_are_compared_by_rule(benchmarks: Path):
    jobs = measured_jobs(benchmarks, PLAN)
    count, measured, predicted, within = compared(jobs, rates(jobs))["harvest"]
    assert (count, within) == (1, 1.0)
    assert predicted == pytest.approx(measured)


def test_rates_survive_a_round_trip(benchmarks: Path, tmp_path: Path):
    jobs = measured_jobs(benchmarks, PLAN)
    write_rates(tmp_path / "rates.json", jobs)
    assert read_rates(tmp_path / "rates.json") == pytest.approx(rates(jobs))


def test_a_kind_that_was_never_measured_takes_the_rate_of_its_rule(benchmarks: Path):
    known = rates(measured_jobs(benchmarks, PLAN))
    del known["fit/pca"]
    fit = next(fit for fit in PLAN.fits if fit.method == "pca")
    assert seconds(fit_work(PLAN, fit), known) > 0


def test_an_unfinished_benchmark_file_is_named(tmp_path: Path):
    (tmp_path / "cut.jsonl").write_text('{"rule_name": "fit"')
    with pytest.raises(UnweaveError, match=r"cut\.jsonl"):
        measured_jobs(tmp_path, PLAN)


def test_no_benchmark_file_is_an_error(tmp_path: Path):
    with pytest.raises(UnweaveError, match="run it first"):
        measured_jobs(tmp_path, PLAN)


def test_the_committed_rates_price_every_planned_job():
    known = read_rates()
    assert all(f"{rule}/*" in known for rule in ("fit", "evaluate", "harvest"))


def test_a_harvest_of_a_group_of_layers_is_known_by_its_rule(tmp_path: Path):
    content = read_yaml(PROJECT / "config/ci.yaml")
    content["harvest"]["smollm2"] |= {"layers_at_once": 1}
    measured = {"rule_name": "harvest_smollm2_L2-2", "wildcards": {"corpus": "news"}, "cpu_time": 9.0, "max_rss": 400.0}
    (tmp_path / "harvest.jsonl").write_text(json.dumps(measured) + "\n")
    assert [job.work.rule for job in measured_jobs(tmp_path, Plan(content, where="ci.yaml"))] == ["harvest"]
