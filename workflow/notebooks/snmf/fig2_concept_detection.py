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
# # Concept detection
#
# **The paper** has a language model name each feature and write sentences with and without the concept; S_CD is the
# log ratio of how strongly the feature's direction is met in them.
#
# **Here** a concept is the strings that a feature is strongest on in one half of the text, and the sentences are
# windows of text that no method has seen. AUROC says the same without a logarithm. Hollow: concepts of other
# features. Below: the same for the largest single coordinate, and for random sparse directions. A model without
# training stands beside the trained one.
#
# **What differs**: no judge; real text.
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
panels = [
    [
        Panel("s_cd", "Log ratio", "S_CD", control="shuffled concepts", limit=0),
        Panel("auroc", "Concepts", "AUROC", control="shuffled concepts", limit=0.5),
        Panel("positive_s_cd", "Positive", "share of features", control="shuffled concepts"),
    ],
    [
        Panel("auroc", "One coordinate", "AUROC", label="largest coordinate", limit=0.5),
        Panel("auroc", "Random", "AUROC", label="random sparse directions", limit=0.5),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "fig2_concept_detection") + "\n" + comparison.findings(data, panels))
