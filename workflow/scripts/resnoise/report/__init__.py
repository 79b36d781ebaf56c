"""The report: one page with claims, tables, figures, and how they were made."""
