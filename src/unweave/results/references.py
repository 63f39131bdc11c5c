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

Source = Literal["code-v1", "code-v2", "code-pkg", "code-exp", "code", "docs", "paper", "review", "fork", "inferred"]
SOURCES: dict[Source, str] = {
    "code-v1": "the authors' repository as it was with the first version",
    "code-v2": "the authors' repository as it was with the second version",
    "code-pkg": "the authors' package",
    "code-exp": "experiments in the authors' package",
    "code": "the authors' repository",
    "docs": "the authors' pages and notebooks",
    "paper": "the paper's abstract, or a figure or table of it that the authors quote",
    "review": "a note on the paper by somebody who read it",
    "fork": "an independent re-run",
    "inferred": "computed by us from published sizes",
}
"""Tag to where a number was read."""

Numbers = list[float | None] | None
Values = dict[str, dict[str, Numbers]]


class Table(Strict):
    """Numbers of one metric: a list over x for each model and method."""

    metric: str
    version: Literal["v1", "v2", "v1 or v2"] = Field(description="of the paper; `v1 or v2` where it is not known")
    source: Source
    digits: Annotated[int, Field(ge=0)] | None = Field(default=None, description="decimals as printed")
    note: str = ""
    x_name: str = ""
    x: list[float] | None = Field(default=None, description="null for layers, which start at 0, and for single numbers")
    x_titles: list[str] | None = Field(default=None, description="names of x where its numbers are mere codes")
    at: dict[str, float] = Field(default={}, description="variables that are held fixed")
    layers: Literal["all"] | dict[str, list[int]] | None = Field(
        default=None, description="layers that were averaged, by model; null where x is the layer"
    )
    values: Values = Field(description="model to method to list over x; null is unknown")

    @model_validator(mode="after")
    def _lists_fit_x(self) -> "Table":
        if self.x_titles is not None and len(self.x_titles) != len(self.x or []):
            raise ValueError(f"{self.metric} has {len(self.x_titles)} x_titles, x has {len(self.x or [])}")
        for model, methods in self.values.items():
            for method, values in methods.items():
                wanted = self._length(values)
                if values is not None and len(values) != wanted:
                    raise ValueError(f"{self.metric} of {method} on {model} has {len(values)} values, x has {wanted}")
                if self.digits is None and any(value is not None for value in values or []):
                    raise ValueError(f"{self.metric} has numbers but not how many `digits` were printed")
        return self

    def _length(self, values: Numbers) -> int:
        if self.x is not None:
            return len(self.x)
        return len(values or []) if self.x_name == "layer" else 1

    def points(self, values: Numbers) -> list[tuple[float | None, float | None]]:
        """Pair x with one list of `values`; x is null for a single number and for an unknown list."""
        if values is None:
            return [(None, None)]
        if self.x is not None:
            return list(zip(self.x, values, strict=True))
        if self.x_name == "layer":
            return [(float(layer), value) for layer, value in enumerate(values)]
        return [(None, values[0])]

    def heading(self, x: float | None) -> str:
        """Name `x` as it stands above its numbers."""
        if x is None:
            return "value"
        if self.x is not None and self.x_titles is not None:
            return self.x_titles[self.x.index(x)]
        return f"{x:g}"

    def printed(self, value: float | None) -> str:
        """Write a number with the digits that were printed."""
        return "unknown" if value is None else f"{value:.{self.digits}f}"

    def layers_of(self, model: str) -> str:
        """Return the layers that were averaged: `all`, their numbers, or nothing where that is not known."""
        if self.layers is None or self.layers == "all":
            return self.layers or ""
        return " ".join(str(layer) for layer in self.layers[model])


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
                "layers": table.layers_of(model),
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
            for x, value in table.points(values)
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"x": "float64", "value": "float64", "digits": "Int64"})

    def remark(self, model: str, title: str) -> str:
        """Say in one line which model was run and whether the paper ran it."""
        kind = "a model of the paper" if model in self.models else "not a model of the paper"
        return f"{title}, {kind} (arXiv {self.arxiv})"

    def planted_remark(self) -> str:
        """Say in one line that the data were planted, so that no model takes part."""
        return f"planted data, no language model takes part (arXiv {self.arxiv})"


def read(paper: str, folder: Path = REFERENCES) -> References:
    """Read what `paper` (for instance "ica") published.

    Raises
    ------
    UnweaveError
        if the file is missing or malformed.
    """
    path = folder / f"{paper}.yaml"
    return validated(References, read_yaml(path), str(path))
