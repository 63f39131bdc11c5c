# One rule per model: its sites, and so its outputs, are its own.
for name, settings in PLAN.config.harvest.items():

    rule:
        name:
            f"harvest_{name}"
        input:
            model=MODEL.format(model=name),
            text=lambda wildcards: TEXT.format(dataset=dataset_of(wildcards.corpus)),
        output:
            **{site: f"results/activations/{name}/{{corpus}}/{site}.h5" for site in settings.sites},
        log:
            f"logs/harvest/{name}/{{corpus}}.log",
        benchmark:
            f"logs/benchmarks/harvest/{name}/{{corpus}}.jsonl"
        # Before jobs of one core, which would otherwise hold this one off and leave a core idle.
        priority: 2
        conda:
            "../../envs/environment.yaml"
        threads: 2
        resources:
            gpu=1,
            mem_mb=more_memory(4000),
            runtime=240,
        params:
            spec=lambda wildcards, name=name, settings=settings: spec(
                corpus=PLAN.config.corpora[wildcards.corpus].model_dump(mode="json"),
                settings=settings.model_dump(mode="json"),
                description={"model": name, "corpus": wildcards.corpus},
            ),
            code=fingerprint("unweave.activations.harvest"),
            output=lambda wildcards, output: " ".join(f"--output {site}={path}" for site, path in output.items()),
        shell:
            "python -m unweave harvest --spec {params.spec:q} --model {input.model} --text {input.text} {params.output}"
            " --gpu {resources.gpu} > {log} 2>&1"
