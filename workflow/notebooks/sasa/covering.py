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
# # How many units cover a concept
#
# **The paper** proves that single directions need exponentially many to cover a concept of several dimensions, and a
# group one.
#
# **Here** the share of directions of a planted sphere within eps of the span of some unit of the fitted dictionary.
# Second row: how many units it takes to have nine tenths of the directions of the sphere within eps of one of them, and
# of the span of two of them; no point where even all do not. Dotted in both: as many random units of the concept's own
# subspace. Third row: the error on new points of a sphere, and how far its subspace is missed, against the points that
# were fitted; dotted: principal directions, as good as the noise allows.
#
# **What differs**: trained dictionaries and units chosen one after the other, not optimal coverings; the exact bounds
# are in the score table.
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
inside, near, sphere = "random in the subspace", ("eps", "tolerance ε"), {"dataset": "sphere"}
pairs = {"label": "two units", "control": f"two units, {inside}"}
by_pca = {"control": "pca", "control_title": "PCA", "log_x": True}
panels = [
    [
        Panel("covered", shape.capitalize(), "share covered", *near, dataset=shape, control=inside)
        for shape in ("sphere", "hypersphere")
    ],
    [
        Panel("covering_number", "Sphere, one unit near", "units needed", *near, **sphere, control=inside, log_y=True),
        Panel("covering_number", "Sphere, two units near", "units needed", *near, **sphere, **pairs, log_y=True),
    ],
    [
        Panel("sample_error", "Error", "error / power", "n", "points", **sphere, **by_pca, log_y=True),
        Panel("sample_sine", "Subspace", "sine of the largest angle", "n", "points", **sphere, **by_pca),
    ],
]
figure, data = comparison.draw(
    table, titles, references, panels, headline=("sasa", "sasa-wd", "sae-topk", "sae-untrained"), planted=True
)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "covering") + "\n" + comparison.findings(data, panels))
