# Noise stability (section 5): layer cushions, and what noise in one layer does.


use rule measurement as layer_cushion with:
    """Measure the cushion of every layer for each picture. A killed job continues."""
    pathvars:
        metric="layer_cushion",
    resources:
        **measuring("layer_cushion", runtime=120),
    params:
        **measured_by("layer_cushion"),


use rule measurement as noise_stability with:
    """Measure the effect of noise on one layer after the other. A killed job continues."""
    pathvars:
        metric="noise_stability",
    resources:
        **measuring("noise_stability", runtime=240),
    params:
        **measured_by("noise_stability"),


use rule table as layer_cushion_table with:
    """Layer cushions of all layers, and the number of layers in which the residual one is larger."""
    input:
        **of_runs("layer_cushion", "layer_cushion.csv", paper=PAPER),
    output:
        **table("layer_cushion_table"),
        counts=with_digest("<results>/layer_cushion_counts.csv"),
    pathvars:
        table="layer_cushion_table",
    params:
        **made_by("tables.layer_cushion", **bootstrap("layer_cushion")),


use rule figure as figure3 with:
    """Figure 3 (section 5): distributions of layer cushions, plain and residual networks."""
    input:
        **of_runs("layer_cushion", "layer_cushion.csv"),
    output:
        **figure("figure3"),
    pathvars:
        figure="figure3",
    params:
        **made_by("figures.figure3"),


use rule figure as figure3_snapshots with:
    """Layer cushions at every measured snapshot (key layer_cushion.every_snapshot)."""
    input:
        **of_runs("layer_cushion", "layer_cushion.csv"),
    output:
        **figure("figure3_snapshots"),
    pathvars:
        figure="figure3_snapshots",
    params:
        **made_by("figures.figure3_snapshots"),


use rule figure as noise_stability_figure with:
    """Effect of noise on the weights and inputs of each layer on the output (section 5)."""
    input:
        **of_runs("noise_stability", "noise_stability.csv"),
    output:
        **figure("noise_stability_figure"),
    pathvars:
        figure="noise_stability_figure",
    params:
        **made_by("figures.noise_stability"),
