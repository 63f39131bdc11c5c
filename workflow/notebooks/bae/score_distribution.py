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
# # How many features reach a score
#
# **The paper** shows how ComSem scores are spread over features, and calls those with low scores complex or vague.
#
# **Here** the share of the tested features that reach a score, with a bank of predicates in the place of the judge.
# Dotted: the same lists, each moved to chance tokens of its documents. Right: tokens taken and tested in the authors'
# order, all from the same documents.
#
# **What differs**: no judge; a score is a share of eight tokens at most. What the bank cannot name scores 0.
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
trained = table[table["model"] == table["model"].mode()[0]]
AXES = ("share of tested features", "threshold", "ComSem score or more")
panels = [
    [
        Panel("comsem_reached", "Other documents", *AXES, control="shifted features"),
        Panel("comsem_reached", "The authors' order of tokens", *AXES, label="released"),
    ],
]
headline = ("bae", "ica-v2", "sasa", "sae-topk", "pca", "random", "sae-untrained")
figure, data = comparison.draw(trained, titles, references, panels, headline)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "score_distribution") + "\n" + comparison.findings(data, panels))
