"""Lightning modules: one abstract base, one final child per paradigm, and the loop that runs them."""
