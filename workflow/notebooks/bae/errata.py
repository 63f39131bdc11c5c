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
# # Errata
#
# **Bugs and confounds** of the paper and its code (resources/errata.yaml), each with the number as published
# (faithful) and with ours (fixed), from this run. Rows are scaled to their largest number, ends of intervals
# included; the numbers stand beside them. Those of which no arm shows a number follow as text.
#
# **Whether a number gets better is not the point**: a fixed arm may well look worse, and then the published one was
# flattering.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import errata
from unweave.plots.figure import save
from unweave.results import errata as known
from unweave.results.references import read as read_references
from unweave.results.scores import read

table = read(scores)
entries = known.read()["bae"]
data = known.table(entries, table)
figure = errata.draw(data, table, titles, read_references("bae"))
save(figure, data, stem, errata.printed(data))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(errata.findings(entries, data))
