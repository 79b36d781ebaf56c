"""The plan of the workflow: runs, tables, figures and studies. The rules use it, jobs do not."""
