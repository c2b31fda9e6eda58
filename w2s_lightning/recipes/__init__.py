"""One module per paradigm: which stages, in which order, as pure data. A recipe runs nothing and loads nothing."""
