"""Files that are written atomically and check themselves when they are read."""
