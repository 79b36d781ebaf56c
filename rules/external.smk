# Networks that were trained elsewhere: cushions of a user's own state dicts.


rule external_network:
    """Read and check a state dict; its test error shows whether it was read rightly."""
    input:
        data="<results>/data.safetensors",
        network=external_path,
    output:
        "<results>/external/{external}/network.json",
    log:
        "<logs>/external_network/{external}.log",
    benchmark:
        "<benchmarks>/external_network/{external}.tsv"
    conda:
        "../envs/external.yaml"
    threads: 1
    resources:
        mem_mb=rising(3000),
        runtime=rising(30),
        gpu=GPUS,
        device=CONFIG["device"],
    params:
        *code("external_network.py", "external.yaml"),
        script=script("external_network.py"),
        network=external_spec,
    shell:
        "python {params.script:q} --network {params.network:q} --state-dict {input.network:q}"
        " --data {input.data:q} --output {output:q} --device {resources.device}"
        " --threads {threads} > {log:q} 2>&1"


rule external_interlayer_cushion:
    """Measure the interlayer cushions of a network trained elsewhere; a killed job continues."""
    input:
        data="<results>/data.safetensors",
        network=external_path,
    output:
        csv=with_digest("<results>/external/{external}/interlayer_cushion.csv"),
    log:
        "<logs>/external_interlayer_cushion/{external}.log",
    benchmark:
        "<benchmarks>/external_interlayer_cushion/{external}.tsv"
    conda:
        "../envs/external.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000 + CONFIG["interlayer_cushion"]["memory_mb"]),
        runtime=rising(240),
        gpu=GPUS,
        device=CONFIG["device"],
        memory_mb=CONFIG["interlayer_cushion"]["memory_mb"],
    params:
        *code("external_cushion.py", "external.yaml"),
        script=script("external_cushion.py"),
        network=external_spec,
        spec=section_spec("interlayer_cushion", InterlayerCushionSpec),
    shell:
        "python {params.script:q} interlayer --network {params.network:q} --spec {params.spec:q}"
        " --state-dict {input.network:q} --data {input.data:q} --output {output.csv[0]:q}"
        " --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule external_layer_cushion:
    """Measure the layer cushions of a network trained elsewhere; a killed job continues."""
    input:
        data="<results>/data.safetensors",
        network=external_path,
    output:
        csv=with_digest("<results>/external/{external}/layer_cushion.csv"),
    log:
        "<logs>/external_layer_cushion/{external}.log",
    benchmark:
        "<benchmarks>/external_layer_cushion/{external}.tsv"
    conda:
        "../envs/external.yaml"
    threads: 1
    resources:
        mem_mb=rising(2000 + CONFIG["layer_cushion"]["memory_mb"]),
        runtime=rising(120),
        gpu=GPUS,
        device=CONFIG["device"],
        memory_mb=CONFIG["layer_cushion"]["memory_mb"],
    params:
        *code("external_cushion.py", "external.yaml"),
        script=script("external_cushion.py"),
        network=external_spec,
        spec=section_spec("layer_cushion", LayerCushionSpec),
    shell:
        "python {params.script:q} layer --network {params.network:q} --spec {params.spec:q}"
        " --state-dict {input.network:q} --data {input.data:q} --output {output.csv[0]:q}"
        " --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


rule external_table:
    """Interlayer cushions of the single blocks of a network that was trained elsewhere."""
    input:
        cushions="<results>/external/{external}/interlayer_cushion.csv",
        record="<results>/external/{external}/network.json",
    output:
        csv=with_digest("<results>/external/{external}/interlayer_blocks.csv"),
        markdown=report(
            "<results>/external/{external}/interlayer_blocks.md",
            caption="../config/captions/external_interlayer_blocks.rst",
            category="Networks trained elsewhere",
            subcategory="{external}",
            labels={"result": "Interlayer cushions of blocks"},
        ),
    log:
        "<logs>/external_table/{external}.log",
    benchmark:
        "<benchmarks>/external_table/{external}.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("interlayer_table.py", "analysis.yaml"),
        script=script("interlayer_table.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q} --external {input.record:q}"
        " --csv {output.csv[0]:q} --markdown {output.markdown:q} > {log:q} 2>&1"


rule external_figure:
    """Heat map of the interlayer cushions of a network that was trained elsewhere."""
    input:
        cushions="<results>/external/{external}/interlayer_cushion.csv",
        record="<results>/external/{external}/network.json",
    output:
        pdf="<results>/external/{external}/interlayer_heatmap.pdf",
        png=report(
            "<results>/external/{external}/interlayer_heatmap.png",
            caption="../config/captions/external_interlayer_cushion.rst",
            category="Networks trained elsewhere",
            subcategory="{external}",
            labels={"result": "Interlayer cushions of all spans"},
        ),
        csv=with_digest("<results>/external/{external}/interlayer_heatmap.csv"),
    log:
        "<logs>/external_figure/{external}.log",
    benchmark:
        "<benchmarks>/external_figure/{external}.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("interlayer_figure.py", "analysis.yaml"),
        script=script("interlayer_figure.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q} --external {input.record:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"


rule external_layer_figure:
    """Layer cushions of a network that was trained elsewhere: figure and table."""
    input:
        cushions="<results>/external/{external}/layer_cushion.csv",
        record="<results>/external/{external}/network.json",
    output:
        pdf="<results>/external/{external}/layer_cushion.pdf",
        png=report(
            "<results>/external/{external}/layer_cushion.png",
            caption="../config/captions/external_layer_cushion.rst",
            category="Networks trained elsewhere",
            subcategory="{external}",
            labels={"result": "Layer cushions"},
        ),
        csv=with_digest("<results>/external/{external}/layer_cushion_summary.csv"),
    log:
        "<logs>/external_layer_figure/{external}.log",
    benchmark:
        "<benchmarks>/external_layer_figure/{external}.tsv"
    localrule: True
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=rising(2000),
        runtime=rising(20),
    params:
        *code("external_layer_figure.py", "analysis.yaml"),
        script=script("external_layer_figure.py"),
    shell:
        "python {params.script:q} --cushions {input.cushions:q} --record {input.record:q}"
        " --pdf {output.pdf:q} --png {output.png:q} --csv {output.csv[0]:q} > {log:q} 2>&1"
