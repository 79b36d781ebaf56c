"""What Snakemake shows on the terminal: progress, errors, and a summary of the results."""
