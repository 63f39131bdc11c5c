"""Values that a paper published (resources/references/<paper>.yaml), as one tidy table beside our own scores."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from unweave.config import PROJECT, Strict, read_yaml, validated
from unweave.errors import UnweaveError

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = PROJECT / "resources" / "references"
COLUMNS = (
    *("item", "metric", "model", "model_title", "method", "title", "layers", "at", "x_name", "x", "value"),
    *("digits", "version", "source", "note"),
)

Values = dict[str, dict[str, list[float | None] | None]]


class Table(Strict):
    """Numbers of one metric: a list over x for each model and method."""

    metric: str
    version: Literal["v1", "v2"]
    source: Literal["code-v1", "code-v2", "code-pkg", "code-exp", "code", "docs", "paper", "review", "fork"]
    digits: Annotated[int, Field(ge=0)] | None = Field(default=None, description="decimals as printed")
    note: str = ""
    x_name: str = ""
    x: list[float] | None = Field(default=None, description="null for layers, which start at 0, and for single numbers")
    at: dict[str, float] = Field(default={}, description="variables that are held fixed")
    layers: Literal["all"] | dict[str, list[int]] | None = Field(
        default=None, description="layers that were averaged, by model; null where x is the layer"
    )
    values: Values = Field(description="model to method to list over x; null is unknown")

    @model_validator(mode="after")
    def _lists_fit_x(self) -> "Table":
        for model, methods in self.values.items():
            for method, values in methods.items():
                wanted = self._length(values)
                if values is not None and len(values) != wanted:
                    raise ValueError(f"{self.metric} of {method} on {model} has {len(values)} values, x has {wanted}")
        return self

    def _length(self, values: list[float | None] | None) -> int:
        if self.x is not None:
            return len(self.x)
        return len(values or []) if self.x_name == "layer" else 1


class Item(Strict):
    """One figure or table of the paper."""

    printed_as: str
    claim: str = Field(description="what the paper's numbers say, in our words")
    tables: list[Table]


class References(Strict):
    """What one paper published, as far as it could be read."""

    title: str
    arxiv: str
    models: dict[str, str] = Field(description="the paper's models: key to title")
    methods: dict[str, str] = Field(description="what the paper compares: key to title")
    items: dict[str, Item]

    def table(self, item: str) -> "pd.DataFrame":
        """Return the published values of one item with the columns of COLUMNS, one number a row; unknown ones are null.

        Raises
        ------
        UnweaveError
            if the paper's file has no such item.
        """
        import pandas as pd

        if item not in self.items:
            raise UnweaveError(
                f"references of {self.title!r}: no item {item!r}; known: {', '.join(sorted(self.items))}"
            )
        rows = [
            {
                "item": item,
                "metric": table.metric,
                "model": model,
                "model_title": self.models.get(model, model),
                "method": method,
                "title": self.methods.get(method, method),
                "layers": _layers(table, model),
                "at": ", ".join(f"{name}={value:g}" for name, value in table.at.items()),
                "x_name": table.x_name,
                "x": x,
                "value": value,
                "digits": table.digits,
                "version": table.version,
                "source": table.source,
                "note": table.note,
            }
            for table in self.items[item].tables
            for model, methods in table.values.items()
            for method, values in methods.items()
            for x, value in _points(table, values)
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"x": "float64", "value": "float64", "digits": "Int64"})

    def remark(self, model: str, title: str) -> str:
        """Say in one line which model was run and whether the paper ran it."""
        kind = "a model of the paper" if model in self.models else "not a model of the paper"
        return f"{title}, {kind} (arXiv {self.arxiv})"


def _layers(table: Table, model: str) -> str:
    if table.layers is None or table.layers == "all":
        return table.layers or ""
    return " ".join(str(layer) for layer in table.layers[model])


def _points(table: Table, values: list[float | None] | None) -> list[tuple[float | None, float | None]]:
    if values is None:
        return [(None, None)]
    if table.x is not None:
        return list(zip(table.x, values, strict=True))
    if table.x_name == "layer":
        return [(float(layer), value) for layer, value in enumerate(values)]
    return [(None, values[0])]


def read(paper: str, folder: Path = REFERENCES) -> References:
    """Read what `paper` (for instance "ica") published.

    Raises
    ------
    UnweaveError
        if the file is missing or malformed.
    """
    path = folder / f"{paper}.yaml"
    return validated(References, read_yaml(path), str(path))
