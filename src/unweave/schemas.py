"""JSON Schemas of the configuration and of every method's and evaluation's settings, generated from the code.

They are committed: Snakemake checks settings against them without importing torch, and editors complete YAML from them.
"""

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter

from unweave import evaluations, methods
from unweave.config import SCHEMAS, Config, DatasetEntry, EvaluationEntry, FigureEntry, MethodEntry, ModelEntry
from unweave.files import staged_folder
from unweave.results.checklist import PrintedItem
from unweave.results.claims import Claim
from unweave.results.errata import Erratum
from unweave.results.nulls import Null
from unweave.results.references import References


def generated() -> dict[Path, str]:
    """Relative path to text of every schema."""
    contents: dict[str, Any] = {
        "config": Config.model_json_schema(),
        "models": TypeAdapter(dict[str, ModelEntry]).json_schema(),
        "datasets": TypeAdapter(dict[str, DatasetEntry]).json_schema(),
        "methods": TypeAdapter(dict[str, MethodEntry]).json_schema(),
        "evaluations": TypeAdapter(dict[str, EvaluationEntry]).json_schema(),
        "figures": TypeAdapter(dict[str, dict[str, FigureEntry]]).json_schema(),
        "references": References.model_json_schema(),
        "claims": TypeAdapter(dict[str, Claim]).json_schema(),
        "checklist": TypeAdapter(dict[str, list[PrintedItem]]).json_schema(),
        "errata": TypeAdapter(dict[str, list[Erratum]]).json_schema(),
        "nulls": TypeAdapter(list[Null]).json_schema(),
    }
    for package in (methods, evaluations):
        kind = package.__name__.rpartition(".")[2]
        for module in pkgutil.iter_modules(package.__path__):
            settings = getattr(import_module(f"{package.__name__}.{module.name}"), "Settings", None)
            if isinstance(settings, type) and issubclass(settings, BaseModel):
                contents[f"{kind}/{module.name}"] = settings.model_json_schema()
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return {
        Path(f"{name}.schema.json"): json.dumps({**draft, **schema}, indent=2, ensure_ascii=False) + "\n"
        for name, schema in contents.items()
    }


def write_schemas() -> None:
    """Replace workflow/schemas."""
    with staged_folder(SCHEMAS) as folder:
        for path, text in generated().items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
