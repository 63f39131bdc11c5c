"""What a planted world is made of."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from unweave.config import Strict


class WorldSettings(Strict):
    """Settings of one world: x = sum of the features that fire, each a point of its own subspace, plus noise."""

    d: Annotated[int, Field(ge=1)] = Field(default=64, description="dimensions of the activations")
    features: Annotated[int, Field(ge=1)] = Field(default=96, description="number of planted features")
    dimensions: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)] = Field(
        default=[1], description="of the subspaces of the features, in turn; a feature of dimension 1 is a ray"
    )
    orthogonal: bool = Field(default=False, description="subspaces are orthogonal; otherwise each is drawn at random")
    active: Annotated[float, Field(gt=0)] = Field(default=4.0, description="features that fire on a token, on average")
    firing: Literal["independent", "exact", "correlated", "hierarchical"] = Field(
        default="independent",
        description="exact: the same number on every token, all features equally often; correlated: through a Gaussian "
        "copula of low rank; hierarchical: children fire only where their parent does",
    )
    zipf: Annotated[float, Field(ge=0)] = Field(
        default=1.0, description="feature i fires in proportion to 1 / i^zipf, and on half of the tokens at most"
    )
    copula_rank: Annotated[int, Field(ge=1)] = Field(default=8, description="common factors of a correlated world")
    copula_strength: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.5, description="share of the variance behind each firing that the common factors make"
    )
    children: Annotated[int, Field(ge=1)] = Field(default=3, description="of each parent in a hierarchical world")
    child_probability: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.3, description="that a child fires where its parent does"
    )
    coordinates: Literal["sphere", "gaussian"] = Field(
        default="sphere", description="points of a subspace: at one distance (a circle in two dimensions), or Gaussian"
    )
    magnitude_spread: Annotated[float, Field(ge=0)] = Field(
        default=0.3, description="standard deviation s of the strengths |1 + s N(0, 1)|; 0 makes firings binary codes"
    )
    noise: Annotated[float, Field(ge=0)] = Field(default=0.01, description="its share of the power of the features")

    @property
    def widths(self) -> list[int]:
        """Dimension of each feature."""
        return [self.dimensions[i % len(self.dimensions)] for i in range(self.features)]

    @property
    def roots(self) -> int:
        """Features without a parent in a hierarchical world."""
        return math.ceil(self.features / (1 + self.children))

    @property
    def active_roots(self) -> float:
        """Roots that fire on a token of a hierarchical world, on average."""
        return self.active * self.roots / (self.roots + self.child_probability * (self.features - self.roots))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if max(self.widths) > self.d or (self.orthogonal and sum(self.widths) > self.d):
            raise ValueError(
                f"the subspaces do not fit into {self.d} dimensions: raise d or lower features, dimensions"
            )
        if self.firing == "exact" and (self.active != round(self.active) or self.active > self.features):
            raise ValueError("firing: exact needs a whole number of active features, at most all of them")
        often = self.active > self.features / 2
        if self.firing == "hierarchical":
            often = self.active_roots > self.roots / 2
        if self.firing != "exact" and often:
            raise ValueError("at most half of the features can fire on average: lower active or raise features")
        return self
