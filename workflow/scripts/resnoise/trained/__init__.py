"""Networks to measure: finished runs read back, and networks that were trained elsewhere."""
