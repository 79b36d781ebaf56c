"""Files that are written atomically, and compared with a stored digest when they are read."""
