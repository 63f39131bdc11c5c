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
# # Scorecard
#
# **Each row** is one empirical statement of a paper (resources/claims.yaml), tested on the score tables of this run:
# the difference that it is about, with a 95 % interval. It holds if the whole interval is on the claimed side, fails
# if it is on the other, and is undecided otherwise. Where a paper or its code has a bug or a confound, the faithful
# arm and ours are judged separately.
#
# **Published numbers** are listed where they are known. They are of other models: a verdict is about this run.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import scorecard
from unweave.plots.figure import save
from unweave.results import claims
from unweave.results.scores import read

table = read(scores)
data = claims.scorecard(claims.read(), table)
figure = scorecard.draw(data, table, titles)
save(figure, data, stem, scorecard.printed(data))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(scorecard.findings(data))
