def figure_entry(wildcards):
    return PLAN.figures[wildcards.paper][wildcards.item]


def figure_titles():
    corpora = PLAN.config.corpora
    return {
        "methods": {name: method.title for name, method in PLAN.methods.items()},
        "datasets": {name: PLAN.datasets[corpus.dataset].title for name, corpus in corpora.items()},
        "models": {name: model.title for name, model in PLAN.models.items()},
    }


def notebook_source(wildcards):
    return os.path.relpath(PROJECT / figure_entry(wildcards).notebook)


def labels(form):
    return {"item": lambda wildcards: figure_entry(wildcards).title, "form": form}


rule figure:
    """Execute the notebook of one figure or table."""
    input:
        notebook=notebook_source,
        scores=lambda wildcards: figure_scores(wildcards.paper, wildcards.item),
    output:
        png=report(FIGURE + ".png", caption="../report/figure.rst", category="{paper}", labels=labels("image")),
        svg=FIGURE + ".svg",
        csv=report(FIGURE + ".csv", caption="../report/figure.rst", category="{paper}", labels=labels("data")),
        notebook=FIGURE + ".ipynb",
    log:
        "logs/figure/{paper}/{item}.log",
    benchmark:
        "logs/benchmarks/figure/{paper}/{item}.jsonl"
    conda:
        "../../envs/environment.yaml"
    params:
        title=lambda wildcards: figure_entry(wildcards).title,
        spec=lambda wildcards: spec(titles=figure_titles()),
        code=lambda wildcards: fingerprint_of_script(PROJECT / figure_entry(wildcards).notebook),
    retries: 1
    threads: 1
    resources:
        mem_mb=1500,
        runtime=20,
    shell:
        "python -m unweave figure {input.notebook} {input.scores} --spec {params.spec:q} --output {output.notebook} > {log} 2>&1"


# `snakemake --cores all ica` makes one paper's figures, `snakemake --cores all ica_fig3_nongaussianity` one of them.
for paper, items in PLAN.config.figures.items():

    rule:
        name:
            paper
        localrule: True
        input:
            [path for item in items for path in figure_targets(paper, item)],

    for item in items:

        rule:
            name:
                f"{paper}_{item}"
            localrule: True
            input:
                figure_targets(paper, item),
