"""Training of one network (section 4): batches, objective, schedule, checkpoints and the loop."""
