"""A live view of the training runs of a configuration, from their files alone.

Nothing here talks to the workflow engine or to other computers: what a run has written, and when,
tells its state, on one machine and on a cluster with a shared file system alike.
"""
