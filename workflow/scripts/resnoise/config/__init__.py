"""The configuration of the workflow: read, checked, completed with defaults, and explained."""
