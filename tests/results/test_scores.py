from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import ArrowNotImplementedError

from unweave.errors import UnweaveError
from unweave.results.scores import COLUMNS, Score, ScoreKey, read, table, write

KEY = ScoreKey(
    model="m",
    revision="r",
    site="resid",
    layer=3,
    method="pca",
    fit_seed=1,
    evaluation="e",
    device="cpu",
    code="c",
    spec="s",
)
SCORE = Score(metric="fve", value=0.5, dataset="news", n=10, unit="1", higher_is_better=True)


def test_a_table_has_the_documented_columns_and_types():
    scores = table(KEY, [SCORE, replace(SCORE, x_name="k", x=3, ci_low=0.4, ci_high=0.6, label="random", seed=2)])
    assert {name: str(dtype) for name, dtype in scores.dtypes.items()} == COLUMNS
    assert list(scores.columns) == list(COLUMNS)
    first, second = scores.to_dict("records")
    assert (first["layer"], first["method"], first["x_name"], first["label"]) == (3, "pca", "", "")
    assert (first["fit_seed"], second["fit_seed"]) == (1, 1)
    assert pd.isna(first["x"])
    assert pd.isna(first["ci_low"])
    assert (second["x"], second["ci_low"], second["ci_high"], second["seed"]) == (3, 0.4, 0.6, 2)


@given(
    st.lists(st.tuples(st.floats(-1e9, 1e9), st.booleans() | st.none(), st.text(max_size=5)), min_size=1, max_size=8)
)
def test_every_score_becomes_one_row_with_its_value(scores):
    rows = [replace(SCORE, value=v, higher_is_better=b, label=label) for v, b, label in scores]
    made = table(KEY, rows)
    assert made["value"].tolist() == [v for v, _, _ in scores]
    assert [None if pd.isna(b) else bool(b) for b in made["higher_is_better"]] == [b for _, b, _ in scores]
    assert made["label"].tolist() == [label for _, _, label in scores]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_could_not_be_computed_is_an_error_that_says_which(value):
    with pytest.raises(UnweaveError, match="e of pca at layer 3: fve on news"):
        table(KEY, [SCORE, replace(SCORE, value=value)])


def test_tables_survive_the_disk_and_are_byte_stable(tmp_path):
    scores = table(KEY, [SCORE, replace(SCORE, higher_is_better=None, label="naïve, “quoted”")])
    write(tmp_path / "a.parquet", scores)
    write(tmp_path / "b.parquet", scores)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    both = read([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    pd.testing.assert_frame_equal(both, pd.concat([scores, scores], ignore_index=True))


def test_a_table_with_other_columns_is_neither_written_nor_read(tmp_path):
    scores = table(KEY, [SCORE]).rename(columns={"metric": "measure"})
    with pytest.raises(UnweaveError, match="not those of a score table"):
        write(tmp_path / "a.parquet", scores)
    assert list(tmp_path.iterdir()) == []
    scores.to_parquet(tmp_path / "old.parquet")
    with pytest.raises(UnweaveError, match=r"old\.parquet: its columns are not those of a score table"):
        read([tmp_path / "old.parquet"])


@pytest.mark.parametrize("content", [b"", b"not parquet", b"PAR1 cut"])
def test_a_damaged_table_is_named(tmp_path, content):
    path = tmp_path / "damaged.parquet"
    path.write_bytes(content)
    with pytest.raises(UnweaveError, match=r"damaged\.parquet: not a readable score table"):
        read([path])


def test_a_table_with_a_column_of_another_type_is_not_read(tmp_path):
    table(KEY, [SCORE]).astype({"layer": "float64"}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UnweaveError, match=r"a\.parquet: its columns are not those of a score table"):
        read([tmp_path / "a.parquet"])


@pytest.mark.parametrize(
    "failure", [TypeError("data type 'int60' not understood"), ArrowNotImplementedError("more than 64 bits")]
)
def test_whatever_a_damaged_table_makes_the_reader_raise_it_is_named(tmp_path, monkeypatch, failure):
    def fail(path):
        raise failure

    monkeypatch.setattr(pd, "read_parquet", fail)
    with pytest.raises(UnweaveError, match=r"damaged\.parquet: not a readable score table \(.*\): delete it"):
        read([tmp_path / "damaged.parquet"])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(UnweaveError, match=r"missing\.parquet: not a readable score table"):
        read([tmp_path / "missing.parquet"])
