rule evaluate:
    """Score one dictionary by one evaluation."""
    input:
        dictionary=DICTIONARY,
        model=MODEL,
        activations=evaluation_activations,
        target=evaluation_targets,
        text=evaluation_texts,
    output:
        SCORES,
    log:
        "logs/evaluate/{evaluation}/{model}/{site}/L{layer}/{method}/seed{seed}.log",
    benchmark:
        "logs/benchmarks/evaluate/{evaluation}/{model}/{site}/L{layer}/{method}/seed{seed}.jsonl"
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=memory(lambda wildcards: evaluation_work(PLAN, wildcards.evaluation, fit_of(wildcards)), least=4000),
        runtime=120,
    params:
        spec=lambda wildcards: spec(
            entry=entry(PLAN.evaluations, wildcards.evaluation),
            method=entry(PLAN.methods, wildcards.method),
            key=score_key(wildcards),
        ),
        code=lambda wildcards: fingerprint(
            "unweave.evaluations.run",
            f"unweave.evaluations.{PLAN.evaluations[wildcards.evaluation].evaluation}",
            f"unweave.methods.{PLAN.methods[wildcards.method].method}",
        ),
        activations=lambda wildcards, input: by_corpus("--activations", input.activations, wildcards),
        target=lambda wildcards, input: by_corpus("--target", input.target, wildcards),
        text=lambda wildcards, input: by_corpus("--text", input.text, wildcards),
    shell:
        "python -m unweave evaluate --spec {params.spec:q} --dictionary {input.dictionary:q} --model {input.model:q}"
        " {params.activations:q} {params.target:q} {params.text:q}"
        " --output {output:q} --gpu {resources.gpu:q} > {log:q} 2>&1"
