# Training (section 4, appendix A): one job a run, and its evaluation before and after.


rule train:
    """Train one network; a killed job continues from its last epoch, to the same bits."""
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
    # Two runs side by side with one thread each are faster than one after the other with two:
    # tests/benchmarks/training_speed.py measures it.
    threads: 1
    resources:
        **computing(train_minutes),
    params:
        *code("train.py", "torch.yaml"),
        script=script("train.py"),
        spec=run_spec,
        network=run_code,
    shell:
        "python {params.script:q} --spec {params.spec:q} --data {input.data:q}"
        " --weights {output.weights:q} --snapshots {output.snapshots:q}"
        " --history {output.history[0]:q} --record {output.record:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"


use rule measurement as evaluate with:
    """Measure risk, cost and error on the whole training and test set, without augmentation."""
    output:
        csv=with_digest("<run>/evaluation.csv"),
    pathvars:
        metric="evaluate",
    resources:
        **computing(evaluate_minutes),
    params:
        **measured_by("evaluation"),
