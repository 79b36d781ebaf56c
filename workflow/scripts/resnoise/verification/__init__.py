"""Whether what is in results folders, and in the store, is still what it should be."""
