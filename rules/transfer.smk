# Transfer (section 3): the plain network that computes the same function as a trained residual one.


rule transfer:
    """Transfer a residual run's weights to the equal plain network, and compare the two."""
    input:
        data="<results>/data.safetensors",
        weights="<results>/runs/residual-{depth}/{initialisation}/seed{seed}/weights.safetensors",
        record="<results>/runs/residual-{depth}/{initialisation}/seed{seed}/run.json",
    output:
        weights="<results>/runs/residual-{depth}/{initialisation}/seed{seed}/transferred.safetensors",
        report="<results>/runs/residual-{depth}/{initialisation}/seed{seed}/transfer.json",
    log:
        "<logs>/transfer/residual-{depth}-{initialisation}-seed{seed}.log",
    benchmark:
        "<benchmarks>/transfer/residual-{depth}-{initialisation}-seed{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        **computing(runtime=30),
    params:
        *code("transfer.py", "torch.yaml"),
        script=script("transfer.py"),
        network=network_code("transfer.py", "residual"),
        expected=expected_run,
        running=running("transfer.py", "torch.yaml", *network_plugins("transfer.py", "residual")),
        pictures=pictures,
    shell:
        "python {params.script:q} --code {params.running:q} --expected {params.expected:q} --record {input.record:q} --weights {input.weights:q}"
        " {params.pictures:q} --output {output.weights:q} --report {output.report:q}"
        " --device {resources.device} --threads {threads} > {log:q} 2>&1"
