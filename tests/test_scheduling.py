from types import SimpleNamespace

import pytest

from unweave.scheduling import schedule_here


def scheduler(**resources: int) -> SimpleNamespace:
    tables = {"_cores": 8, **resources}
    return SimpleNamespace(job_rate_limiter=object(), global_resources=dict(tables), resources=dict(tables))


@pytest.mark.parametrize(
    ("given", "gpus", "expected"),
    [({}, 2, {"gpu": 2}), ({"gpu": 1}, 2, {"gpu": 1}), ({"gpu": 0}, 2, {"gpu": 0}), ({}, 0, {})],
    ids=["as many as there are", "as many as were asked for", "none, as was asked for", "no GPU, no limit"],
)
def test_jobs_that_use_a_gpu_at_once(given: dict[str, int], gpus: int, expected: dict[str, int]) -> None:
    told = scheduler(**given)
    schedule_here(told, gpus)
    assert told.global_resources == told.resources == {"_cores": 8, **expected}


def test_nothing_is_held_back() -> None:
    told = scheduler()
    schedule_here(told, 0)
    assert told.job_rate_limiter is None
