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
# # All methods by all evaluations
#
# **No paper has this**: every method by every evaluation, on the same activations, texts and seeds. Columns are
# criteria, cells values, shades ranks within the column; values in bold have intervals that overlap with the best
# one's.
#
# **Budgets are not equal everywhere**, so they stand in the first two columns: the numbers that a dictionary stores
# and the codes that it uses on a token. Dense methods use all codes; sparse ones were fitted to 32 active codes or
# groups of as many. Compare within a budget.
#
# **Nulls are rows like others**: random bases, an autoencoder that was never trained, the raw dimensions. A
# criterion by which a null wins measures something other than what was learned.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import grand
from unweave.plots.figure import save
from unweave.results.scores import read

table = read(scores)
figure, data = grand.draw(table, titles)
save(figure, data, stem, grand.printed(data))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(grand.findings(data))
