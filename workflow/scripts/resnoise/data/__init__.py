"""From a source of labelled pictures to one prepared, self-checking data set file.

Each source is a module; ``resnoise.registry`` lists them. Everything after the preparation reads
the file through ``resnoise.data.dataset`` and knows nothing about sources.
"""
