"""The four paradigms on reasoning tasks: what is written, selected and learned, as pure data."""
