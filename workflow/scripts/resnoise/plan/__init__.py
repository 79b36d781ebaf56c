"""The plan of the workflow: runs, tables, figures, studies. Of jobs, only the report uses it."""
