import re

import pandas as pd

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
