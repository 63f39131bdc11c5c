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
# # Explained variance at matched budgets
#
# **The paper** compares dictionaries of equal width and L0, and SASA at half of the tokens.
#
# **Here** curves against active codes and against training tokens, each point a fit. Dotted: principal directions,
# as many as there are active codes, on every token the same.
#
# **What differs**: tens of thousands of tokens.
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
panels = [
    [
        Panel("fve", "Codes", "share of variance", "active codes", control="principal directions", log_x=True),
        Panel("fve", "Tokens", "share of variance", "training tokens", log_x=True),
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "matched_budget") + "\n" + comparison.findings(data, panels))
