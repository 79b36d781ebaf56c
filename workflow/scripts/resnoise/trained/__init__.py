"""Trained networks that can be measured: finished runs, and networks trained elsewhere."""
