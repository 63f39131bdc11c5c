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
# # Two senses of one word
#
# **The paper** (v1, unnumbered figure; GPT-2 Small, layer 6) lists the strongest ICA components of every token of
# four sentences that use "bank" twice for money and twice for a river.
#
# **Here** four sentences of our own. Numbers in the cells are components, the traces are the two that separate the
# senses most at the word (panel A); the sign of a component is arbitrary. Each sentence's first token is context only.
# Panel B asks whether that is more than chance: the same search is made for all other ways to divide the sentences
# into two pairs, and for every arm.
#
# **What differs**: model, layer and sentences; numbers of components mean nothing across fits. With four sentences
# there are only three divisions, so this can illustrate but cannot prove.

# %%
from IPython.display import Image, Markdown

from unweave.plots import sentence_traces
from unweave.plots.figure import save
from unweave.plots.sentences import setup
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
figure, data = sentence_traces.draw(table, titles, references)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(setup(table, titles, references) + "\n" + sentence_traces.findings(data, references))
