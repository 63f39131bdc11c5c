import json
import re
import time

import pandas as pd
import pytest

from unweave import cli, notebook
from unweave.errors import UnweaveError
from unweave.provenance import record, sidecar
from unweave.results.index_page import page

ITEM = {"paper": "ica", "item": "tpp", "title": "<script>alert(1)</script> & more", "notebook": "n", "needs": ["tpp"]}


def rendered(folder, *items):
    pd.DataFrame(
        [{"paper": "bae", "printed": "Figure 1", "shows": "x", "status": "not made", "reason": "no <data>"}]
    ).to_csv(folder / "checklist.csv", index=False)
    return page(folder, folder / "checklist.csv", items)


def test_every_link_is_relative_and_nothing_is_fetched(tmp_path):
    text = rendered(tmp_path, ITEM)
    targets = re.findall(r'(?:href|src)="([^"]+)"', text)
    assert {f"ica/tpp{suffix}" for suffix in (".png", ".svg", ".csv", ".html", ".ipynb")} <= set(targets)
    assert not [target for target in targets if "//" in target or target.startswith("/")]


def test_titles_and_reasons_are_escaped(tmp_path):
    text = rendered(tmp_path, ITEM)
    assert "<script>" not in text
    assert "no &lt;data&gt;" in text


def test_badges_count_the_verdicts_of_the_scorecard(tmp_path):
    (tmp_path / "comparison").mkdir()
    card = pd.DataFrame({"paper": ["ica", "ica", "bae"], "verdict": ["holds", "holds", "fails"]})
    card.to_csv(tmp_path / "comparison/scorecard.csv", index=False)
    text = rendered(tmp_path, ITEM)
    assert "2 holds" in text
    assert "1 fails" not in text


def test_no_page_may_run_a_script(tmp_path):
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy" content="[^"]*">')
    (of_page,) = policy.findall(rendered(tmp_path))
    assert of_page == policy.findall(notebook.PAGE)[0]
    assert "default-src 'none'" in of_page
    assert "script-src" not in of_page


def test_a_figure_tells_how_long_it_took_unless_its_record_is_damaged(tmp_path):
    (tmp_path / "ica").mkdir()
    drawn = tmp_path / "ica" / "tpp.csv"
    drawn.write_text("numbers")
    assert "drawn in" not in rendered(tmp_path, ITEM)
    record("figure", [drawn], [], {}, time.monotonic() - 7)
    assert "drawn in 7 s" in rendered(tmp_path, ITEM)
    sidecar(drawn).write_text(sidecar(drawn).read_text().replace('"wall_seconds": 7', '"wall_seconds": 8'))
    with pytest.raises(UnweaveError, match="a damaged record"):
        rendered(tmp_path, ITEM)


@pytest.mark.parametrize("name", ["checklist.csv", "comparison/scorecard.csv"])
def test_the_stage_refuses_a_table_that_has_changed(tmp_path, name):
    rendered(tmp_path)
    (tmp_path / "comparison").mkdir()
    pd.DataFrame({"paper": ["ica"], "verdict": ["holds"]}).to_csv(tmp_path / "comparison/scorecard.csv", index=False)
    record("stage", [tmp_path / name], [], {}, time.monotonic())
    arguments = (tmp_path / "checklist.csv", json.dumps({"items": []}), tmp_path / "index.html")
    cli.index(*arguments)
    (tmp_path / name).write_text((tmp_path / name).read_text() + "\n")
    with pytest.raises(UnweaveError, match=f"{name}: has changed since it was made"):
        cli.index(*arguments)
