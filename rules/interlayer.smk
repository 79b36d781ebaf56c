# Interlayer cushions (section 5): computed exactly for single blocks, estimated with a standard
# error for longer spans of blocks.


use rule measurement as interlayer_cushion with:
    """Measure the interlayer cushions of all spans of blocks. A killed job continues."""
    pathvars:
        metric="interlayer_cushion",
    resources:
        **measuring("interlayer_cushion", runtime=240),
    params:
        **measured_by("interlayer_cushion"),


use rule table as interlayer_table with:
    """Interlayer cushions of single blocks, residual and plain, and the paper's number."""
    input:
        **of_runs("interlayer_cushion", "interlayer_cushion.csv", paper=PAPER),
    output:
        **table("interlayer_table"),
    pathvars:
        table="interlayer_table",
    params:
        **made_by("tables.interlayer_cushion"),


use rule figure as interlayer_figure with:
    """Heat maps of the interlayer cushions of all spans of blocks."""
    input:
        **of_runs("interlayer_cushion", "interlayer_cushion.csv"),
    output:
        **figure("interlayer_figure"),
    pathvars:
        figure="interlayer_figure",
    params:
        **made_by("figures.interlayer_cushion"),
