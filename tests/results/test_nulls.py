import pandas as pd
import pytest

from unweave.config import PROJECT
from unweave.results import nulls, scores
from unweave.results.nulls import Null, table


def null(**changes):
    where = {"evaluation": "tpp", "metric": "tpp", "method": "random"}
    return Null.model_validate({"text": "t", "where": where, "chance": 0.5, **changes})


@pytest.mark.parametrize(
    ("low", "high", "within", "expected"),
    [
        (0.45, 0.55, 0.0, "at chance"),
        (0.55, 0.6, 0.0, "off chance"),
        (0.55, 0.6, 0.1, "at chance"),
        (0.3, 0.4, 0.05, "off chance"),
    ],
)
def test_the_interval_must_come_near_the_chance_level(made_up, low, high, within, expected):
    rows = made_up("random", ("tpp", (low + high) / 2, low, high))
    assert table([null(within=within)], rows).iloc[0]["verdict"] == expected


def test_the_chance_level_can_be_another_score(made_up):
    rows = made_up("random", ("tpp", 0.3, 0.2, 0.4), ("tpp", 0.35, 0.3, 0.4, {"label": "control"}))
    row = table([null(chance={"label": "control"})], rows).iloc[0]
    assert (row["verdict"], row["chance"]) == ("at chance", 0.35)


def test_what_was_not_measured_is_not_judged(made_up):
    row = table([null()], made_up("ica", ("tpp", 0.3, 0.2, 0.4))).iloc[0]
    assert row["verdict"] == "not measured"
    assert pd.isna(row["difference"])


def test_in_the_committed_run_few_nulls_are_off_chance_and_all_are_measured():
    kept = [
        PROJECT / f"resources/frozen/{name}.parquet" for name in {null.where["evaluation"] for null in nulls.read()}
    ]
    verdicts = table(nulls.read(), scores.read(sorted(kept)))["verdict"]
    assert (verdicts != "not measured").all()
    # Intervals of 95 % miss one in twenty, and a model's activations are not normal along any direction.
    assert (verdicts == "off chance").sum() <= 3
