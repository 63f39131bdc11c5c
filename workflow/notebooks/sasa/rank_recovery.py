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
# # Ranks of groups against planted dimensions
#
# **The paper** (second version) plants features of 1 to 8 dimensions, fits groups of 10 at several weights of the
# nuclear norm, and compares the rank of each group with the dimension of the feature matched to it.
#
# **Here** features of 1, 2 and 4 dimensions and groups of 4, with the nuclear norm and with weight decay in its place:
# dimensions that hold 90 % of what the matched group can write (its decoder) and of what it does write, 0 for a silent
# group. Dotted: the planted dimension.
#
# **What differs**: 24 features in 64 dimensions, one weight, short fits; the paper's numbers are not known.
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
planted = {
    "x_name": "dimension",
    "x_title": "dimensions of the feature",
    "dataset": "subspaces",
    "control": "planted",
    "control_title": "planted dimension",
}
panels = [
    [
        Panel("matched_rank", "What the group can write", "rank (90 %)", **planted, label="decoder"),
        Panel("matched_rank", "What it writes", "rank (90 %)", **planted, label="written"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels, ("sasa", "sasa-wd"), planted=True)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "rank_recovery") + "\n" + comparison.findings(data, panels))
