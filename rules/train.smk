# Training (section 4, appendix A): a job for each run.

from resnoise.plan import grid


rule train:
    """Train one network. A killed job continues from its last epoch, with the same results."""
    input:
        data="<results>/data.safetensors",
    output:
        weights=f"<results>/{RUN}/weights.safetensors",
        snapshots=f"<results>/{RUN}/snapshots.safetensors",
        history=with_digest(f"<results>/{RUN}/history.csv"),
        record=f"<results>/{RUN}/run.json",
    log:
        f"<logs>/{grid.LOG}",
    benchmark:
        "<benchmarks>/train/{architecture}-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    # Two runs side by side with one thread each are faster than one after the other with two threads
    # (measured by tests/benchmarks/training_speed.py).
    resources:
        **computing(train_minutes),
    params:
        *code("train.py", "torch.yaml"),
        **loaded("train.py", initialisation_module),
        script=script("train.py"),
        spec=run_spec,
        store=store,
        graph=graph_option,
        pictures=pictures,
    shell:
        "python {params.script:q} --code {params.running:q} {params.store:q}"
        " --spec {params.spec:q} {params.pictures:q}"
        " --weights {output.weights:q} --snapshots {output.snapshots:q}"
        " --history {output.history[0]:q} --record {output.record:q}"
        " --device {resources.device} --threads {threads} {params.graph:q} --evaluate > {log:q} 2>&1"
