import json
from pathlib import Path

import pytest

from unweave.config import PROJECT, read_yaml
from unweave.costs.bill import compared
from unweave.costs.calibration import START_UP, measured_jobs, rates, read_rates, seconds, write_rates
from unweave.costs.work import evaluation_work, fit_work
from unweave.errors import UnweaveError
from unweave.plan import Plan

PLAN = Plan(read_yaml(PROJECT / "config/ci.yaml"), where="ci.yaml")


def write(folder: Path, name: str, stage: str, seconds: float, **spec: object) -> None:
    content = {"stage": stage, "spec": spec, "cpu_seconds": seconds, "peak_memory_bytes": 4e8}
    (folder / f".{name}.provenance.json").write_text(json.dumps(content))


def harvest(config: dict, layers: list[int]) -> dict[str, object]:
    settings = {**config["harvest"]["smollm2"], "layers": layers}
    return {"settings": settings, "description": {"model": "smollm2", "corpus": "news"}}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Records of jobs that take 2e-9 s for each operation beyond their start-up."""
    for i, fit in enumerate(PLAN.fits):
        seconds = START_UP + 2e-9 * fit_work(PLAN, fit).flops
        write(tmp_path, f"fit{i}", "fit", seconds, description={**fit._asdict(), "corpus": "news"})
    for i, (name, fit) in enumerate(PLAN.scores):
        key = {**fit._asdict(), "fit_seed": fit.seed, "evaluation": name}
        write(tmp_path, f"evaluate{i}", "evaluate", START_UP + 2e-9 * evaluation_work(PLAN, name, fit).flops, key=key)
    config = read_yaml(PROJECT / "config/ci.yaml")
    # A job of several files has a record beside each.
    for site in ("resid", "mlp_out"):
        write(tmp_path, site, "harvest", 30.0, **harvest(config, config["harvest"]["smollm2"]["layers"]))
    write(tmp_path, "wheel", "fetch", 1.0)
    return tmp_path


def test_rates_are_learned_from_records(results: Path):
    jobs = measured_jobs(results, PLAN)
    known = rates(jobs)
    assert len(jobs) == len(PLAN.fits) + len(PLAN.scores) + 1
    large = [job for job in jobs if 2e-9 * job.work.flops > 1]
    assert large
    for job in large:
        assert seconds(job.work, known) == pytest.approx(job.seconds, rel=0.01)


def test_predictions_are_compared_by_rule(results: Path):
    jobs = measured_jobs(results, PLAN)
    count, measured, predicted, within = compared(jobs, rates(jobs))["harvest"]
    assert (count, within) == (1, 1.0)
    assert predicted == pytest.approx(measured)


def test_rates_survive_a_round_trip(results: Path, tmp_path: Path):
    jobs = measured_jobs(results, PLAN)
    write_rates(tmp_path / "rates.json", jobs)
    assert read_rates(tmp_path / "rates.json") == pytest.approx(rates(jobs))


def test_a_kind_that_was_never_measured_takes_the_rate_of_its_rule(results: Path):
    known = rates(measured_jobs(results, PLAN))
    del known["fit/pca"]
    fit = next(fit for fit in PLAN.fits if fit.method == "pca")
    assert seconds(fit_work(PLAN, fit), known) > 0


@pytest.mark.parametrize("content", ['{"stage": "fit"', '{"stage": "fit", "spec": {}}', "[]", "7"])
def test_a_damaged_record_is_named(tmp_path: Path, content: str):
    (tmp_path / ".cut.parquet.provenance.json").write_text(content)
    with pytest.raises(
        UnweaveError, match=r"cut\.parquet\.provenance\.json: a damaged record: delete .*cut\.parquet and"
    ):
        measured_jobs(tmp_path, PLAN)


def test_a_folder_without_results_is_an_error(tmp_path: Path):
    with pytest.raises(UnweaveError, match="run it first"):
        measured_jobs(tmp_path, PLAN)


def test_the_committed_rates_price_every_planned_job():
    known = read_rates()
    assert all(f"{rule}/*" in known for rule in ("fit", "evaluate", "harvest"))


def test_a_harvest_of_a_group_of_layers_is_known_by_its_rule(tmp_path: Path):
    content = read_yaml(PROJECT / "config/ci.yaml")
    content["harvest"]["smollm2"] |= {"layers_at_once": 1}
    write(tmp_path, "resid", "harvest", 9.0, **harvest(content, [2]))
    assert [job.work.rule for job in measured_jobs(tmp_path, Plan(content, where="ci.yaml"))] == ["harvest"]
