"""The pages of docs/reference that are made from the code: configuration, settings, score tables, command line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unweave.config import PROJECT, SCHEMAS
from unweave.files import staged_file
from unweave.results.scores import COLUMNS

FOLDER = PROJECT / "docs" / "reference"
MADE = "<!-- Made by `make docs` from the code. -->"
SCORE_MEANINGS = {
    "model": "registry name of the language model",
    "revision": "which weights: a commit, a pinned wheel or a hash",
    "site": "where in a block",
    "layer": "zero-based block",
    "method": "registry name of the arm",
    "fit_seed": "seed of the dictionary",
    "evaluation": "registry name of the evaluation",
    "dataset": "corpus that the number was measured on",
    "metric": "what was measured",
    "label": "free key: a class, a token, a baseline",
    "x_name": "name of the free variable of a curve",
    "x": "its value",
    "value": "the number",
    "ci_low": "lower end of the 95 % interval, empty where the value is exact",
    "ci_high": "upper end",
    "n": "sample size behind the value",
    "seed": "of the evaluation's own draws",
    "unit": "unit of the value",
    "higher_is_better": "empty where neither way is",
    "device": "cpu or cuda",
    "code": "fingerprint of the evaluation's code",
    "spec": "hash of the settings of method and evaluation",
}


def type_of(schema: Mapping[str, Any]) -> str:
    """Say what a value may be."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(type_of(part) for part in schema[key]))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {type_of(schema['items'])}" if "items" in schema else "list"
    if kind == "object":
        values = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
        return f"map to {type_of(values)}" if isinstance(values, Mapping) and values else "map"
    return {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}.get(
        str(kind), "anything"
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _bounds(schema: Mapping[str, Any]) -> str:
    signs = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join(f"{words} {schema[key]}" for key, words in signs.items() if key in schema)


def properties_table(schema: Mapping[str, Any]) -> list[str]:
    """Markdown table of the properties of one object."""
    lines = ["| key | may be | default | meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        needed = name in schema.get("required", [])
        default = "needed" if needed else f"`{json.dumps(field.get('default'))}`"
        kinds = ", ".join(filter(None, [type_of(field), _bounds(field)]))
        lines.append(f"| `{name}` | {_cell(kinds)} | {_cell(default)} | {_cell(field.get('description', ''))} |")
    return lines


def described(heading: str, schema: Mapping[str, Any]) -> list[str]:
    """Lines of one object: what it is, and its properties if it has any."""
    if not schema.get("properties"):
        return [heading, ""]
    text = " ".join(str(schema.get("description", "")).split())
    return [heading, "", *([text, ""] if text else []), *properties_table(schema), ""]


def schema_page(title: str, introduction: str, names: Mapping[str, Path]) -> str:
    """One page of several schemas (heading to file)."""
    lines = [f"# {title}", "", MADE, "", introduction, ""]
    for name, path in names.items():
        schema = json.loads(path.read_text(encoding="utf-8"))
        lines += described(f"## {name}", schema)
        for definition, content in schema.get("$defs", {}).items():
            if content.get("properties"):
                lines += described(f"### {definition}", content)
    return "\n".join(lines).rstrip() + "\n"


def scores_page() -> str:
    """Columns of every score table."""
    lines = ["# Score tables", "", MADE, ""]
    lines += [
        "Every evaluation writes one parquet file for each dictionary, `results/scores/<evaluation>/<model>/<site>/",
        "L<layer>/<method>/seed<seed>.parquet`. A row is one number.",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| `{name}` | {kind} | {SCORE_MEANINGS[name]} |" for name, kind in COLUMNS.items()]
    return "\n".join(lines) + "\n"


def command_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from unweave.cli import app

    lines = ["# Command line", "", MADE, "", "`unweave COMMAND --help` says the same. `--install-completion` teaches"]
    lines += [
        "your shell the names. Exit status: 0, or 1 for a finding, or 2 for a mistake that the message names.",
        "",
    ]
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        lines += [f"## unweave {name}", "", " ".join((command.help or "").split()), ""]
        lines += ["| argument | default | meaning |", "|---|---|---|"]
        for parameter in command.params:
            names = ", ".join(f"`{option}`" for option in parameter.opts)
            if parameter.param_type_name == "argument":
                names = f"`{parameter.name.upper()}`"
            given = parameter.default
            default = "needed" if parameter.required else "" if given is None or callable(given) else f"`{given}`"
            if isinstance(given, Path) and given.is_absolute():
                default = f"`{given.relative_to(PROJECT)}`"
            lines.append(f"| {names} | {_cell(default)} | {_cell(getattr(parameter, 'help', '') or '')} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _named(kind: str) -> dict[str, Path]:
    found = sorted((SCHEMAS / kind).glob("*.schema.json"))
    return {path.name.removesuffix(".schema.json"): path for path in found}


def pages() -> dict[Path, str]:
    """File name to text of every page."""
    registries = ("config", "models", "datasets", "methods", "evaluations", "figures")
    files = {f"{name}.yaml": SCHEMAS / f"{name}.schema.json" for name in registries}
    return {
        Path("configuration.md"): schema_page(
            "Configuration", "What the files of `config/` may hold. An unknown key is an error.", files
        ),
        Path("methods.md"): schema_page(
            "Settings of methods",
            "`settings` of an entry of `config/methods.yaml`, by its `method`.",
            _named("methods"),
        ),
        Path("evaluations.md"): schema_page(
            "Settings of evaluations",
            "`settings` of an entry of `config/evaluations.yaml`, by its `evaluation`.",
            _named("evaluations"),
        ),
        Path("scores.md"): scores_page(),
        Path("command-line.md"): command_page(),
    }


def write_pages() -> None:
    """Write them."""
    for path, text in pages().items():
        with staged_file(FOLDER / path) as partial:
            partial.write_text(text, encoding="utf-8")
