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
# # Initialisation, sparsity and rank
#
# **The paper** finds the same quality from three initialisations, the best features at a sparsity of 1 %, and similar
# ones at ranks from 100 to 400 (appendix).
#
# **Here** variance explained and concept detection (AUROC) of fits of twelve iterations each. Dotted: with the concepts
# of other features.
#
# **What differs**: few iterations, so that a slow start counts against an initialisation; ranks up to 150.
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
control = "shuffled concepts"
starts = {"categories": ("random", "k-means", "SVD")}
panels = [
    [
        Panel("fve", "Initialisation", "variance explained", "initialisation", **starts),
        Panel("auroc", "Initialisation", "AUROC", "initialisation", **starts, control=control),
    ],
    [
        Panel("fve", "Neurons of a feature", "variance explained", "sparsity", "share of the neurons"),
        Panel("auroc", "Neurons of a feature", "AUROC", "sparsity", "share of the neurons", control=control),
    ],
    [
        Panel("fve", "Rank", "variance explained", "k"),
        Panel("auroc", "Rank", "AUROC", "k", control=control),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "ablations") + "\n" + comparison.findings(data, panels))
