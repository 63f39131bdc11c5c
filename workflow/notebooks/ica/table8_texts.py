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
# # Generation interventions
#
# **The paper** adds one chosen component of GPT-2 with the length -20 at the last token of a prompt about a favourite
# weekend activity, and takes the most probable token ten times: "go to a local bar and have a drink." becomes "play
# with the kids."
#
# **Here** a prompt about the same, the same place and number of tokens, for components that were drawn, not picked, at
# the strength that moves the next token by one nat, and for random directions beside them.
#
# **What differs**: the paper's prompt is not known word by word, its component was chosen, and its length is fixed.
#
# The embedded run uses a small instruction-tuned model with 4-bit-rounded weights and news text, so compare arms
# with each other here, not with the paper's models.

# %%
from IPython.display import Image, Markdown

from unweave.plots import steered_texts
from unweave.plots.figure import save
from unweave.plots.sentences import claim
from unweave.results.references import read as read_references
from unweave.results.scores import read

table, references = read(scores), read_references("ica")
figure, data = steered_texts.draw(table, titles, references)
save(figure, data, stem, steered_texts.printed(table, titles))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "table8_texts") + "\n" + steered_texts.findings(table, titles))
