"""Words of the world `arithmetic`, each a single token; lists are in order of frequency, the most frequent first."""

SPECIAL = ("<pad>", "<unk>", "<eos>")
"""First entries of the vocabulary; `<eos>` ends every problem."""

STRUCTURE = ("q", "a", "has", ".", "how", "many", "?", "+", "-", "=", "answer")
"""The skeleton of a problem."""

NAMES_TEXT = """
tom ann bob eva sam lea ben ida max zoe leo mia tim ada jim pia ken amy ray una
"""
NAMES = tuple(NAMES_TEXT.split())

ITEMS_TEXT = """
apples books coins pens cards eggs shells stamps balls plums keys beads nuts figs kites mugs hats bells maps drums
"""
ITEMS = tuple(ITEMS_TEXT.split())

GAINS_TEXT = "buys finds gets wins picks earns borrows gathers receives collects"
GAINS = tuple(GAINS_TEXT.split())
"""Verbs that add."""

LOSSES_TEXT = "eats loses sells drops gives breaks lends wastes donates discards"
LOSSES = tuple(LOSSES_TEXT.split())
"""Verbs that take away."""
