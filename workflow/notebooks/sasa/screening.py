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
# # Which unit stands for days and months
#
# **The paper** screens groups with sentences from templates: it takes the one whose strength best tells a concept's
# words from other nouns (AUC), and accepts it if it does so in text (AUC 0.8 or more). It also prints Cohen's d, the
# precision at the 99 % quantile and a weight of an l1 probe.
#
# **Here** the unit chosen on half of the templates, by its AUC on the other half; then the F1 with which the best unit
# fires on days and months in news text. Hollow: random words of equal frequency, mean over all concepts.
#
# **What differs**: an AUC of 1 is no merit of a method: units of random and untrained dictionaries can reach it, for
# days and months in a dozen templates are easily told from two dozen nouns. F1 in text is the harder test.
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
words = {"control": "random words", "control_title": "random words, all concepts"}
names = {"weekday": "Days", "month": "Months"}
panels = [
    [
        Panel("unit_auc", f"{name} in templates", "AUC of the chosen unit", dataset=family, limit=0.5)
        for family, name in names.items()
    ],
    [
        Panel("best_f1", f"{name} in text", "F1 of the best unit", label=family, **words)
        for family, name in names.items()
    ],
]
figure, data = comparison.draw(table, titles, references, panels)
save(figure, data, stem, comparison.printed(data, panels))
Image(filename=f"{stem}.png")

# %% [markdown]
# ## What we see

# %%
Markdown(claim(references, "screening") + "\n" + comparison.findings(data, panels))
