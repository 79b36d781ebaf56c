# Training dynamics (appendix D): Figures 8 and 9, made from the histories of runs.

from resnoise.plan import grid


use rule figure as figure8 with:
    """Figure 8 (appendix D): risk against epoch and test error against risk, plain and residual."""
    input:
        **of_runs("figure8", "history.csv"),
    output:
        **figure("figure8"),
        equal_csv=with_digest("<results>/figure8_equal_risk.csv"),
    pathvars:
        figure="figure8",
    params:
        **made_by("figures.figure8"),


use rule figure as figure9 with:
    """Figure 9 (appendix D.1): plain networks from KWI and from T(HMWI)."""
    input:
        **of_runs("figure9", "history.csv"),
        evaluations=run_files(grid.figure9_runs(CONFIG), "evaluation.csv"),
    output:
        **figure("figure9"),
        difference_csv=with_digest("<results>/figure9_difference.csv"),
    pathvars:
        figure="figure9",
    params:
        **made_by("figures.figure9"),


use rule table as figure9_growth with:
    """Growth of the risk with depth in the networks of Figure 9, beside the paper's numbers."""
    input:
        **of_runs("figure9", "history.csv", paper=PAPER),
        evaluations=run_files(grid.figure9_runs(CONFIG), "evaluation.csv"),
    output:
        **table("figure9_growth"),
    pathvars:
        table="figure9_growth",
    params:
        **made_by("tables.growth"),
