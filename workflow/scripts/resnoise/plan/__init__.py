"""What there is to make: runs, tables, figures and studies. The rules use it; no job does."""
