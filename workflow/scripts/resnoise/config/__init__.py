"""The configuration of the workflow: reading, checks, defaults, error messages, documentation."""
