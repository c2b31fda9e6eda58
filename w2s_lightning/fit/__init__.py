"""Training: the paradigms' Lightning modules, the loop that runs one, checkpoints, and processes that share a fit."""
