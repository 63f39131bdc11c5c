import re

import pandas as pd

from unweave.plots import scorecard


def test_a_claim_is_shown_as_it_stands_and_breaks_no_table():
    row = {"paper": "ica", "verdict": "holds", "published": "*2*", "reason": "a|b"}
    row |= {"text": "|cosine| is <i>high</i>", "difference": float("nan"), "ci_low": 0.0, "ci_high": 0.0}
    *_, line = scorecard.findings(pd.DataFrame([row])).splitlines()
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
    assert cells[1:] == [r"\|cosine\| is &lt;i&gt;high&lt;/i&gt;", r"\*2\*", "**holds**", r"a\|b"]
