"""Score tables of a made-up run."""

import pytest

from unweave.results.scores import Score, ScoreKey, table


def made_up_rows(method, *scores, evaluation="tpp", layer=10, revision="r0", site="resid"):
    """Rows of (metric, value, low, high) or (metric, value, low, high, fields)."""
    key = ScoreKey(
        model="smollm2" if "random" not in revision else "smollm2-untrained",
        revision=revision,
        site=site,
        layer=layer,
        method=method,
        fit_seed=0,
        evaluation=evaluation,
        device="cpu",
        code="c",
        spec="s",
    )
    rows = []
    for metric, value, low, high, *fields in scores:
        given = {"dataset": "news", "n": 50, "unit": "1", "higher_is_better": True, **(fields[0] if fields else {})}
        rows.append(Score(metric=metric, value=value, ci_low=low, ci_high=high, **given))
    return table(key, rows)


@pytest.fixture(scope="session")
def made_up():
    return made_up_rows
