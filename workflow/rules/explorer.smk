# `snakemake explorer` makes a static site; it is no part of `all`.
if PLAN.config.explorer:

    rule explore:
        """Write what the explorer shows of one dictionary."""
        input:
            dictionary=DICTIONARY,
            model=MODEL,
            activations=lambda wildcards: [
                activations(wildcards, corpus, wildcards.site) for corpus in explored_corpora()
            ],
            text=[TEXT.format(dataset=dataset_of(corpus)) for corpus in explored_corpora()],
            scores=explored_scores,
        output:
            EXPLORED,
        log:
            "logs/explore/{model}/{site}/L{layer}/{method}/seed{seed}.log",
        benchmark:
            "logs/benchmarks/explore/{model}/{site}/L{layer}/{method}/seed{seed}.jsonl"
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            gpu=1,
            mem_mb=4000,
            runtime=60,
        params:
            spec=lambda wildcards: spec(
                key={**wildcards, "layer": int(wildcards.layer), "seed": int(wildcards.seed)},
                limits=PLAN.config.explorer.model_dump(include=set(ExplorerLimits.model_fields)),
            ),
            code=lambda wildcards: fingerprint(
                "unweave.explorer.explore",
                f"unweave.methods.{PLAN.methods[wildcards.method].method}",
            ),
            activations=lambda wildcards, input: named("--activations", explored_corpora(), input.activations),
            text=lambda wildcards, input: named("--text", explored_corpora(), input.text),
            scores=lambda wildcards, input: [word for path in input.scores for word in ("--scores", path)],
        shell:
            "python -m unweave explore --spec {params.spec:q} --dictionary {input.dictionary:q} --model {input.model:q}"
            " {params.activations:q} {params.text:q} {params.scores:q}"
            " --output {output:q} --gpu {resources.gpu:q} > {log:q} 2>&1"

    rule explorer:
        """Make the pages, and find the neighbours of every feature in the other dictionaries."""
        input:
            tables=[EXPLORED.format(**fit._asdict()) for fit in PLAN.explored],
            model=[MODEL.format(model=model) for model in explored_models()],
            activations=[
                activations(fit, corpus, fit.site)
                for fit in explored_models().values()
                for corpus in explored_corpora()
            ],
            text=[TEXT.format(dataset=dataset_of(corpus)) for corpus in explored_corpora()],
            static=[os.path.relpath(path) for path in sorted((PROJECT / "src/unweave/explorer/static").iterdir())],
        output:
            "results/explorer/index.html",
        log:
            "logs/explorer.log",
        benchmark:
            "logs/benchmarks/explorer.jsonl"
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=4000,
            runtime=30,
        params:
            spec=spec(
                dictionaries=[fit._asdict() for fit in PLAN.explored],
                titles=figure_titles(),
                tokens=PLAN.config.explorer.tokens,
            ),
            code=fingerprint("unweave.explorer.site"),
            model=lambda wildcards, input: named("--model", explored_models(), input.model),
            activations=lambda wildcards, input: named(
                "--activations",
                [f"{model}/{corpus}" for model in explored_models() for corpus in explored_corpora()],
                input.activations,
            ),
            text=lambda wildcards, input: named("--text", explored_corpora(), input.text),
        shell:
            "python -m unweave explorer {input.tables:q} --spec {params.spec:q} {params.model:q} {params.activations:q}"
            " {params.text:q} --output {output:q} > {log:q} 2>&1"
