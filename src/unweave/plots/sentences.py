"""Markdown that is computed from the tables behind the figures, so that no number in a text is typed by hand."""

from collections.abc import Iterable, Sequence
from html import escape

import pandas as pd

from unweave.plots import style
from unweave.plots.selection import Titles, subject, title
from unweave.results.references import References


def bullets(lines: Iterable[str]) -> str:
    """Markdown list of sentences."""
    return "\n".join(f"- {line}." for line in lines)


MARKDOWN = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]|~$"})


def literal(cells: Iterable[str]) -> list[str]:
    """Cells of a Markdown table that are shown as they stand: nothing in them is read as markup or as a formula."""
    return [escape(cell, quote=False).translate(MARKDOWN) for cell in cells]


def grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def claim(references: References, item: str) -> str:
    """Say what the paper's numbers say, and how many of them could be read."""
    entry, values = references.items[item], references.table(item)["value"]
    known, unknown = int(values.notna().sum()), int(values.isna().sum())
    count = f"{known} published numbers on file, {unknown} unknown or not existing"
    return f"**The paper** ({entry.printed_as}): {entry.claim} ({count}.)\n"


def setup(scores: pd.DataFrame, titles: Titles, references: References) -> str:
    """Say in Markdown what was run: model, site, layers, arms and texts of a score table."""
    model = subject(scores)
    texts = [f"{title(titles, 'datasets', key)} (`{key}`)" for key in dict.fromkeys(scores["dataset"]) if key != "all"]
    arms = [
        f"{title(titles, 'methods', method)} at {_layers(scores.loc[scores['method'] == method, 'layer'])}"
        for method in style.in_order(scores["method"])
    ]
    return (
        f"**This run**: {references.remark(model, title(titles, 'models', model))}, site `{scores['site'].iloc[0]}`. "
        f"Texts: {', '.join(texts)}. Arms: {'; '.join(arms)}.\n"
    )


def _layers(layers: pd.Series) -> str:
    numbers = [str(layer) for layer in sorted(set(layers))]
    return f"{'layer' if len(numbers) == 1 else 'layers'} {', '.join(numbers)}"


def fair_pairs(methods: Iterable[str]) -> list[tuple[str, str]]:
    """Each ICA arm with each control whose rows were preprocessed the same way."""
    known = style.in_order(methods)
    return [
        (arm, other)
        for arm in known
        if style.family(arm) == "ica"
        for other in known
        if style.family(other) != "ica" and style.look(other).line == style.look(arm).line
    ]


def count_leads(ours: pd.DataFrame, other: pd.DataFrame, on: Sequence[str]) -> str | None:
    """Count where the first of two arms is higher or lower; a difference counts where the intervals do not overlap."""
    both = ours.merge(other, on=list(on), suffixes=("", "_other"))
    if both.empty:
        return None
    ahead = int((both["ci_low"] > both["ci_high_other"]).sum())
    behind = int((both["ci_high"] < both["ci_low_other"]).sum())
    level = len(both) - ahead - behind
    parts = {"higher": ahead, "lower": behind, "not told apart (intervals overlap)": level}
    said = ", ".join(f"{name} at {count}" for name, count in parts.items() if count)
    return f"{said} of {len(both)} {'layer' if len(both) == 1 else 'layers'}"


def span(values: pd.Series, form: str = ".3g") -> str:
    """`3.1`, or `3.1 to 7.4`."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
