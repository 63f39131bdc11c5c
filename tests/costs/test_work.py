from pathlib import Path

import pytest

from unweave.config import PROJECT, read_yaml
from unweave.costs.bill import bill, disk_needed, require_disk
from unweave.costs.work import fit_flops, works
from unweave.errors import UnweaveError
from unweave.plan import Plan

PAPERS = sorted((PROJECT / "config/paper").glob("*.yaml"))
ANY = {"fit/*": 1e-12, "evaluate/*": 1e-12, "harvest/*": 1e-12}


def plan(path: Path, **changes: object) -> Plan:
    return Plan(read_yaml(path) | changes, where=path.name)


@pytest.mark.parametrize(
    "path", [PROJECT / "config/config.yaml", PROJECT / "config/ci.yaml", *PAPERS], ids=lambda p: p.stem
)
def test_every_configuration_has_a_bill_with_its_jobs(path: Path):
    planned = plan(path)
    lines = {line.rule: line for line in bill(planned, ANY)}
    assert lines["fit"].jobs == len(planned.fits)
    assert lines["evaluate"].jobs == len(planned.scores)
    for line in lines.values():
        assert line.disk > 0
        assert line.memory > 0
        assert line.core_hours > 0


def test_a_million_tokens_of_bfloat16_fill_what_they_fill():
    planned = plan(PROJECT / "config/paper/ica.yaml")
    harvests = [work for work in works(planned) if work.rule == "harvest" and work.name.startswith("gpt2, pile, ")]
    assert sum(work.disk for work in harvests) == pytest.approx(12 * 1e6 * 768 * 2 + 2 * 1e6 * 12)


def test_groups_of_layers_need_less_disk_at_once():
    content = read_yaml(PROJECT / "config/paper/ica.yaml")
    harvest = content["harvest"]["gemma2-2b"]
    together = plan(
        PROJECT / "config/paper/ica.yaml",
        harvest=content["harvest"] | {"gemma2-2b": harvest | {"layers_at_once": None}},
    )
    assert disk_needed(plan(PROJECT / "config/paper/ica.yaml")) < 0.5 * disk_needed(together)


def test_what_is_not_stored_needs_no_disk_but_its_tokens():
    works_of = works(plan(PROJECT / "config/paper/sasa.yaml"))
    streamed = next(work for work in works_of if work.rule == "harvest" and "pile-gpt2" in work.name)
    assert streamed.disk == 12 * 3e8


@pytest.mark.parametrize("settings", [{"tokens": 1000, "expansion": 2}, {"iterations": 50, "n_features": 10}])
def test_twice_the_width_and_the_work_cost_more(settings: dict[str, int]):
    doubled = {key: 2 * value if key in ("tokens", "iterations") else value for key, value in settings.items()}
    assert fit_flops(settings, 1e4, 64) < fit_flops(settings, 1e4, 128)
    assert fit_flops(settings, 1e4, 64) < fit_flops(doubled, 1e4, 64) < 2 * fit_flops(settings, 1e4, 64)


def test_a_disk_that_is_too_small_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1e9})())
    with pytest.raises(UnweaveError, match="layers_at_once"):
        require_disk(plan(PROJECT / "config/paper/ica.yaml"), tmp_path / "results")
    require_disk(plan(PROJECT / "config/ci.yaml"), tmp_path / "results")


def test_what_is_there_already_is_not_counted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = plan(PROJECT / "config/ci.yaml")
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": disk_needed(small) - 1000})())
    with pytest.raises(UnweaveError, match="GB are free"):
        require_disk(small, tmp_path)
    (tmp_path / "done").write_bytes(bytes(2000))
    require_disk(small, tmp_path)


def test_an_unknown_gpu_is_refused():
    with pytest.raises(UnweaveError, match="known: a100, h100"):
        bill(plan(PROJECT / "config/ci.yaml"), ANY, "abacus")
