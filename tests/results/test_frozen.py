import time

import pytest

from unweave import cli
from unweave.errors import UnweaveError
from unweave.files import sha256_of
from unweave.provenance import read_record, record
from unweave.results import scores
from unweave.results.frozen import freeze


def tables(made_up, folder):
    paths = []
    for number, (method, evaluation) in enumerate([("sae", "tpp"), ("ica", "tpp"), ("ica", "scr")]):
        paths.append(folder / f"{number}.parquet")
        scores.write(paths[-1], made_up(method, ("m", 0.5, 0.4, 0.6), evaluation=evaluation))
    return paths


def test_tables_are_joined_by_evaluation_and_lose_nothing(made_up, tmp_path):
    frozen = tmp_path / "frozen"
    frozen.mkdir()
    freeze(tables(made_up, tmp_path), frozen / "SHA256SUMS")
    assert {path.name for path in frozen.iterdir()} == {"SHA256SUMS", "tpp.parquet", "scr.parquet"}
    assert scores.read([frozen / "tpp.parquet"])["method"].tolist() == ["ica", "sae"]


def test_the_sums_are_those_that_sha256sum_checks(made_up, tmp_path):
    frozen = tmp_path / "frozen"
    frozen.mkdir()
    freeze(tables(made_up, tmp_path), frozen / "SHA256SUMS")
    lines = (frozen / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    assert lines == [f"{sha256_of(frozen / name)}  {name}" for name in ("scr.parquet", "tpp.parquet")]


def test_the_order_of_the_tables_changes_no_byte_and_old_tables_go(made_up, tmp_path):
    frozen = tmp_path / "frozen"
    frozen.mkdir()
    paths = tables(made_up, tmp_path)
    freeze(paths, frozen / "SHA256SUMS")
    before = (frozen / "tpp.parquet").read_bytes()
    freeze(paths[1::-1], frozen / "SHA256SUMS")
    assert (frozen / "tpp.parquet").read_bytes() == before
    assert not (frozen / "scr.parquet").exists()


def test_the_stage_records_the_tables_and_what_they_were_made_from(made_up, tmp_path):
    paths = tables(made_up, tmp_path)
    cli.freeze(paths, tmp_path / "frozen" / "SHA256SUMS")
    content = read_record(tmp_path / "frozen" / "SHA256SUMS")
    assert content["inputs"] == {str(path): sha256_of(path) for path in paths}
    assert content["files"] == {name: sha256_of(tmp_path / "frozen" / name) for name in ("scr.parquet", "tpp.parquet")}


def test_the_stage_refuses_a_table_that_has_changed_and_freezes_none(made_up, tmp_path):
    paths = tables(made_up, tmp_path)
    record("evaluate", paths, [], {}, time.monotonic())
    scores.write(paths[1], made_up("ica", ("m", 0.6, 0.4, 0.6), evaluation="tpp"))
    with pytest.raises(UnweaveError, match=r"1.parquet: has changed since it was made"):
        cli.freeze(paths, tmp_path / "frozen" / "SHA256SUMS")
    assert not (tmp_path / "frozen").exists()
