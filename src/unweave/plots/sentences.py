"""Markdown that is computed from the tables behind the figures, so that no number in a text is typed by hand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape

import pandas as pd

from unweave.plots import style
from unweave.plots.selection import Titles, subject, title
from unweave.results.references import SOURCES, Numbers, References, Table

ABOUT, ACROSS = 4, 8
"""Cells of a row of published numbers that say what they are, and most numbers of a row."""


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
    """Say what the paper's numbers say and list them, as published, above what was measured here."""
    entry, values = references.items[item], references.table(item)["value"]
    known, unknown = int(values.notna().sum()), int(values.isna().sum())
    count = f"{known} numbers known, {unknown} unknown or not existing"
    parts = [
        f"**The paper** ({entry.printed_as}): {entry.claim}\n",
        f"**Published** (arXiv {references.arxiv}, not measured here; {count}):\n",
        *_published(references, entry.tables),
        "**Measured here**:\n",
    ]
    return "\n".join(parts)


def _published(references: References, tables: Sequence[Table]) -> list[str]:
    """One grid for each set of x, which runs across, then the notes and where the numbers were read."""
    notes = list(dict.fromkeys(table.note for table in tables if table.note))
    lines: dict[tuple[str, ...], list[list[str]]] = {}
    for table in tables:
        note = f" ({notes.index(table.note) + 1})" if table.note else ""
        for header, line in _lines(references, table, note):
            lines.setdefault(header, []).append(line)
    grids = []
    for header, rows in lines.items():
        for start in range(ABOUT, len(header), ACROSS):
            cut = [*range(ABOUT), *range(start, min(start + ACROSS, len(header)))]
            grids.append(grid([header[i] for i in cut], [[row[i] for i in cut] for row in rows]))
    listed = [f"{number}. {note}\n" for number, note in enumerate(literal(notes), start=1)]
    sources = ", ".join(f"{tag} ({SOURCES[tag]})" for tag in dict.fromkeys(table.source for table in tables))
    return [*grids, "".join(listed), f"Sources: {sources}.\n"]


def _lines(references: References, table: Table, note: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Header and cells of each list of published numbers; the first ABOUT of them say what the numbers are."""
    metric = ", ".join([table.metric, *(f"{name} = {value:g}" for name, value in table.at.items())])
    for model, methods in table.values.items():
        ran = ", ".join([references.models.get(model, model), *_averaged(table.layers_of(model))])
        for names, values in _together(methods):
            points = table.points(values)
            by = "" if points[0][0] is None else f" by {table.x_name}"
            said = ", ".join(references.methods.get(name, name) for name in names)
            header = [f"published metric{by}", "version, source (note)", "model", "method"]
            about = [metric, f"{table.version}, {table.source}{note}", ran, said]
            yield (
                tuple(literal([*header, *(table.heading(x) for x, _ in points)])),
                literal([*about, *(table.printed(value) for _, value in points)]),
            )


def _together(methods: Mapping[str, Numbers]) -> list[tuple[list[str], Numbers]]:
    """Each method with its list of numbers; those whose list is unknown are one."""
    unknown = [name for name, values in methods.items() if values is None]
    known = [([name], values) for name, values in methods.items() if values is not None]
    return [*known, *([(unknown, None)] if unknown else [])]


def _averaged(layers: str) -> list[str]:
    """Name the layers of a published number, if they are known."""
    if layers == "all":
        return ["all layers"]
    numbers = layers.split()
    return [f"{'layer' if len(numbers) == 1 else 'layers'} {', '.join(numbers)}"] if numbers else []


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
    ahead, behind, level = leads(ours, other, on)
    compared = ahead + behind + level
    if not compared:
        return None
    parts = {"higher": ahead, "lower": behind, "not told apart (intervals overlap)": level}
    said = ", ".join(f"{name} at {count}" for name, count in parts.items() if count)
    return f"{said} of {compared} {'layer' if compared == 1 else 'layers'}"


def leads(ours: pd.DataFrame, other: pd.DataFrame, on: Sequence[str]) -> tuple[int, int, int]:
    """How often the interval of the first of two arms lies above, below and across that of the other."""
    both = ours.merge(other, on=list(on), suffixes=("", "_other"))
    ahead = int((both["ci_low"] > both["ci_high_other"]).sum())
    behind = int((both["ci_high"] < both["ci_low_other"]).sum())
    return ahead, behind, len(both) - ahead - behind


def with_interval(numbers: Iterable[float], form: str = ".3g") -> str:
    """`0.31 (0.28 to 0.35)` of a value and the ends of its interval, or the value alone where nothing was resampled."""
    value, low, high = numbers
    return f"{value:{form}}" if pd.isna(low) else f"{value:{form}} ({low:{form}} to {high:{form}})"


def span(values: pd.Series, form: str = ".3g") -> str:
    """`3.1`, or `3.1 to 7.4`."""
    low, high = format(values.min(), form), format(values.max(), form)
    return low if low == high else f"{low} to {high}"
