"""One module a page: a section's records -> figures, tables and sentences. None of them knows HTML or a terminal."""
