"""Score rows of one arm on one corpus."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unweave.evaluations.resampled_scores import mean_score
from unweave.results.scores import Score


@dataclass(frozen=True)
class Rows:
    """Makes the rows of one arm, the label."""

    dataset: str
    seed: int
    label: str = ""

    def score(
        self,
        metric: str,
        value: float,
        n: int,
        *,
        unit: str = "1",
        better: bool | None = True,
        label: str | None = None,
        x_name: str = "",
        x: float | None = None,
    ) -> Score:
        """One exact number; `label` in the place of the arm's."""
        return Score(
            metric=metric,
            value=value,
            dataset=self.dataset,
            n=n,
            unit=unit,
            higher_is_better=better,
            x_name=x_name,
            x=x,
            label=self.label if label is None else label,
            seed=self.seed,
        )

    def means(
        self, values: Mapping[str, NDArray[np.generic]], *, x_name: str = "", x: float | None = None
    ) -> list[Score]:
        """Mean of each metric's values (A,) of the same features, with its interval; nothing for fewer than two."""
        return [
            mean_score(
                metric,
                of_features,
                seed=self.seed,
                better=True,
                dataset=self.dataset,
                label=self.label,
                x_name=x_name,
                x=x,
            )
            for metric, of_features in values.items()
            if len(of_features) > 1
        ]
