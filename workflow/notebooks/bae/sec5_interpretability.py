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
# # How many features are interpretable
#
# **The paper** lists the tokens on which a feature stands out, lets a language model state what they share (ComSem)
# and test it on further tokens.
#
# **Here** the same skeleton with a bank of predicates in the place of the judge, tested on tokens of other
# documents. Hollow: the same lists, each moved to chance tokens of its documents. `released`: the authors' order of
# tokens, explained and tested on the same documents.
#
# **What differs**: no judge; a model without training stands beside the trained one.
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

table, references = read(scores), read_references("bae")
panels = [
    [
        Panel("comsem", "Score", "ComSem score", control="shifted features"),
        Panel("interpretable", "Interpretable", "share of features", control="shifted features"),
        Panel("coherence", "Coherence", "cosine", control="shifted features"),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "sec5_interpretability") + "\n" + comparison.findings(data, panels))
