# Tables 1 and 5: measured numbers beside the paper's.

from resnoise.plan import grid


use rule table as table1 with:
    """Table 1 (appendix A): training risk, cost and test error of plain and residual networks."""
    input:
        files=run_files(grid.table1_runs(CONFIG), "evaluation.csv"),
        paper=PAPER,
    output:
        **table("table1"),
    pathvars:
        table="table1",
    params:
        **made_by("tables.table1"),


use rule table as table5 with:
    """Table 5 (appendix D.3): networks of dominant paths only, compared with residual ones."""
    input:
        files=run_files(grid.table5_runs(CONFIG), "evaluation.csv"),
        paper=PAPER,
    output:
        **table("table5"),
    pathvars:
        table="table5",
    params:
        **made_by("tables.table5"),
