rule fit:
    """Fit one method at one layer from one seed."""
    input:
        unpack(fit_inputs),
    output:
        DICTIONARY,
    log:
        "logs/fit/{model}/{site}/L{layer}/{method}/seed{seed}.log",
    benchmark:
        "logs/benchmarks/fit/{model}/{site}/L{layer}/{method}/seed{seed}.jsonl"
    # The longest jobs first, so that the short evaluations fill the other cores beside them.
    priority: 1
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(lambda wildcards: fit_work(PLAN, fit_of(wildcards)), least=3000),
        runtime=240,
    params:
        spec=lambda wildcards: spec(
            entry=entry(PLAN.methods, wildcards.method),
            description={
                **wildcards,
                "layer": int(wildcards.layer),
                "seed": int(wildcards.seed),
                "corpus": fit_corpus(wildcards),
            },
        ),
        code=lambda wildcards: fingerprint(
            "unweave.methods.fit",
            f"unweave.methods.{PLAN.methods[wildcards.method].method}",
        ),
        options=fit_options,
    shell:
        "python -m unweave fit --spec {params.spec:q} --activations {input.activations:q} --layer {wildcards.layer:q}"
        " --seed {wildcards.seed:q} {params.options:q} --output {output:q} --gpu {resources.gpu:q} > {log:q} 2>&1"
