# Networks trained elsewhere: measurements of networks whose state dicts or Python files the user gives
# (key external).

ELSEWHERE = {
    "folder": "<results>/external/{external}",
    "category": "Networks trained elsewhere",
    "subcategory": "{external}",
}
MEASURED_ELSEWHERE = (
    "layer_cushion.csv",
    "interlayer_cushion.csv",
    "noise_stability.csv",
    "gradient_flow.csv",
    "margin.csv",
)
# All networks together.
TOGETHER = {"folder": "<results>/external", "category": ELSEWHERE["category"]}


rule external_network:
    """Read and check a network trained elsewhere; its test error shows if it was read correctly."""
    input:
        data="<results>/data.safetensors",
        network=external_inputs,
    output:
        "<results>/external/{external}/network.json",
    log:
        "<logs>/<job>/{external}.log",
    benchmark:
        "<benchmarks>/<job>/{external}.tsv"
    pathvars:
        job="external_network",
    conda:
        "../envs/external.yaml"
    resources:
        **computing(runtime=30),
    params:
        script=script("external.py"),
        code=code("external.py", "external.yaml"),
        name="network",
        spec="{}",
        network=external_spec,
        running=running("external.py", "external.yaml"),
        pictures=pictures,
        files=external_options,
    shell:
        "python {params.script:q} {params.name:q} --code {params.running:q} --network {params.network:q} --spec {params.spec:q}"
        " {params.files:q} {params.pictures:q} --output {output:q}"
        " --device {resources.device} --threads {threads}"
        " --memory-mb {resources.memory_mb} > {log:q} 2>&1"


use rule external_network as external_interlayer_cushion with:
    """Measure the interlayer cushions of a network trained elsewhere. A killed job continues."""
    output:
        csv=with_digest("<results>/external/{external}/interlayer_cushion.csv"),
    pathvars:
        job="external_interlayer_cushion",
    resources:
        **measuring("interlayer_cushion", runtime=240),
    params:
        **measured_elsewhere("interlayer_cushion", spec=metric_spec("interlayer_cushion")),


use rule external_network as external_layer_cushion with:
    """Measure the layer cushions of a network trained elsewhere. A killed job continues."""
    output:
        csv=with_digest("<results>/external/{external}/layer_cushion.csv"),
    pathvars:
        job="external_layer_cushion",
    resources:
        **measuring("layer_cushion", runtime=120),
    params:
        **measured_elsewhere("layer_cushion", spec=metric_spec("layer_cushion")),


use rule external_network as external_noise_stability with:
    """Measure the noise stability of a network trained elsewhere. A killed job continues."""
    output:
        csv=with_digest("<results>/external/{external}/noise_stability.csv"),
    pathvars:
        job="external_noise_stability",
    resources:
        **measuring("noise_stability", runtime=240),
    params:
        **measured_elsewhere("noise_stability", spec=metric_spec("noise_stability")),


use rule external_network as external_gradient_flow with:
    """Measure the dominant gradient flow of a network trained elsewhere. A killed job continues."""
    output:
        csv=with_digest("<results>/external/{external}/gradient_flow.csv"),
    pathvars:
        job="external_gradient_flow",
    resources:
        **computing(runtime=240),
    params:
        **measured_elsewhere("call_flow", spec=call_flow_spec(), files=external_flow_options),


use rule external_network as external_margin with:
    """Measure the margins of a network trained elsewhere."""
    output:
        csv=with_digest("<results>/external/{external}/margin.csv"),
    pathvars:
        job="external_margin",
    params:
        **measured_elsewhere("margin"),


use rule table as external_table with:
    """Interlayer cushions of single blocks of a network trained elsewhere."""
    input:
        files="<results>/external/{external}/interlayer_cushion.csv",
        record="<results>/external/{external}/network.json",
        paper=[],
    output:
        **table("interlayer_blocks", **ELSEWHERE),
    pathvars:
        table="external_table/{external}",
    params:
        **made_by("tables.interlayer_cushion"),


use rule figure as external_figure with:
    """Heat map of the interlayer cushions of a network trained elsewhere."""
    input:
        files="<results>/external/{external}/interlayer_cushion.csv",
        record="<results>/external/{external}/network.json",
    output:
        **figure("interlayer_heatmap", **ELSEWHERE),
    pathvars:
        figure="external_figure/{external}",
    params:
        **made_by("figures.interlayer_cushion"),


use rule figure as external_layer_figure with:
    """Layer cushions of a network trained elsewhere, as figure and CSV table."""
    input:
        files="<results>/external/{external}/layer_cushion.csv",
        record="<results>/external/{external}/network.json",
    output:
        **figure("layer_cushion", data="layer_cushion_summary", **ELSEWHERE),
    pathvars:
        figure="external_layer_figure/{external}",
    params:
        **made_by("figures.external_layer_cushion"),


use rule figure as external_networks_figure with:
    """Layer cushions of all networks trained elsewhere in one figure, and as CSV table."""
    input:
        files=of_external("layer_cushion.csv"),
        records=of_external("network.json"),
    output:
        **figure("external_networks_figure", **TOGETHER),
    pathvars:
        figure="external_networks_figure",
    params:
        **made_by("figures.external_layer_cushions"),


use rule figure as external_flows_figure with:
    """Dominant gradient flow of all networks trained elsewhere in one figure, and as CSV table."""
    input:
        files=of_external("gradient_flow.csv"),
        records=of_external("network.json"),
    output:
        **figure("external_flows_figure", **TOGETHER),
    pathvars:
        figure="external_flows_figure",
    params:
        **made_by("figures.external_gradient_flows", **keys("gradient_flow", "reading", "layers")),


use rule table as external_networks_table with:
    """One line for each network trained elsewhere: test error, size, cushions, flow, noise, margins."""
    input:
        files=of_external(*MEASURED_ELSEWHERE),
        records=of_external("network.json"),
        paper=[],
    output:
        **table("external_networks_table", **TOGETHER),
    pathvars:
        table="external_networks_table",
    params:
        **made_by("tables.external_networks", **keys("gradient_flow", "reading", "layers")),
