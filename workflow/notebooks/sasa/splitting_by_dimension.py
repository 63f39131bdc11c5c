# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% tags=["parameters"]
scores = []  # score tables to read
stem = ""  # where the figure goes, without a suffix
titles = {}  # registry keys to the names that the figure prints

# %% [markdown]
# # Splitting by the dimension of a concept
#
# **The paper** (second version) plants features of 1 to 16 dimensions and counts the atoms that carry nine tenths of
# each. By its theory single directions split a feature the more, the more dimensions it has, and a group does not.
#
# **Here** features of 1, 2 and 4 dimensions: directions that carry nine tenths of a feature, over its dimension (1 is
# no splitting); the same in units, which are groups where there are groups; and the share of a feature's subspace that
# the unit matched to it spans. Dotted: as many random directions.
#
# **What differs**: 24 features in 64 dimensions, groups of four, short fits; the paper has 256 features in 768. A
# single direction spans at most 1 / dimension of a feature, and a group of four directions all of it.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import comparison
from unweave.plots.figure import save
from unweave.plots.panel import Panel
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("sasa")
planted = {"x_name": "dimension", "x_title": "dimensions of the feature", "dataset": "subspaces"}
panels = [
    [
        Panel(
            "splitting_ratio",
            "Directions",
            "directions / dimension",
            **planted,
            log_y=True,
            limit=1,
            limit_title="no splitting",
        ),
        Panel(
            "units_per_feature",
            "Units",
            "units per feature",
            **planted,
            log_y=True,
            limit=1,
            limit_title="no splitting",
        ),
    ],
    [Panel("capture", "Matched unit", "share spanned", **planted, control="random directions")],
]
headline = ("ica-v2", "sasa", "sae-topk", "random", "sae-untrained")
figure, data = comparison.draw(table, titles, references, panels, headline, planted=True)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "splitting_by_dimension") + "\n" + comparison.findings(data, panels))
