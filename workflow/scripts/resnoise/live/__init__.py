"""A live view of the training runs of a configuration, from their files alone.

The state of a run follows from what it has written, and when. So the view works on one machine and
on a cluster with a shared file system alike, and talks neither to Snakemake nor to other computers.
"""
