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
# # What has learned nothing
#
# **Every evaluation has a null**: random directions, an autoencoder that was never trained, shuffled labels or
# features, a language model with random weights. Each row is one of them with the score that chance gives
# (resources/nulls.yaml). It is at chance if the 95 % interval of the difference touches zero, or what the row
# allows.
#
# **A null that is off chance is a finding**: the evaluation then measures something else besides what was learned.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import scorecard
from unweave.plots.figure import save
from unweave.results import nulls
from unweave.results.scores import read

table = read(scores)
data = nulls.table(nulls.read(), table)
figure = scorecard.draw_nulls(data, table, titles)
save(figure, data, stem, data)
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(scorecard.null_findings(data))
