"""Specifications: immutable values that hold everything that determines a result."""
