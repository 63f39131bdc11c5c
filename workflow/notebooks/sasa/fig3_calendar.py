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
# # Units of days and months, seen from inside
#
# **The paper** (Figure 3) shows one group of SASA: its norm along three prompts, the principal components of its codes
# at temporal tokens, and the months in the order of the calendar.
#
# **Here** the units that `fig3_temporal` chooses and tests: for each family a group of SASA, or as many latents of a
# TopK autoencoder. Each mark is a sentence that had no part in the choice; the third prompt has no term of a calendar.
#
# **What differs**: a unit for each family, sentences of our own instead of web text, no seasons and no years (several
# tokens in this model).
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import calendar_units
from unweave.plots.figure import save
from unweave.plots.sentences import setup
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("sasa")
arms = ["sasa", "sae-topk"]
table = table[table["method"].isin(arms)]
figure, data = calendar_units.draw(table, titles, references, arms)
save(figure, data, stem)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(setup(table, titles, references) + "\n" + calendar_units.findings(data, references))
