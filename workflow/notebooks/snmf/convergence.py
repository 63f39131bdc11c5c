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
# # Convergence of semi-NMF
#
# **The paper** lets its update run until 1500 iterations bring nothing; its notebooks print the loss.
#
# **Here** the squared error over the squared length of the activations, and how far the neurons of a feature are those
# of the iteration before (1: none changed), for the published update and for ours, which minimises over one block of
# unknowns after the other.
#
# **What differs**: iterations are not seconds: one of ours does more work. The published update starts at random and
# ours at k-means, and the published one is cut after 150 iterations where the paper's take thousands.
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

table, references = read(scores), read_references("snmf")
AXES = ("step", "iteration")
panels = [
    [
        Panel("relative_error", "Error", "squared error (share)", *AXES),
        Panel("support_overlap", "Neurons kept from the iteration before", "overlap (Jaccard)", *AXES),
    ],
]
figure, data = comparison.draw(table, titles, references, panels, ("snmf", "snmf-reference"))
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "convergence") + "\n" + comparison.findings(data, panels))
