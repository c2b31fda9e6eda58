"""Words of the embedded worlds: every one is a single token, and no two lists share one."""

SPECIAL = ("<pad>", "<unk>")
"""First entries of every vocabulary."""

STRUCTURE = (".", "?", "so", "is", "right", "wrong", "yes", "no", "he", "she", "home", "away")
"""Written in pretraining text besides names, relations and values."""

FOREIGN = ("says", "it", "that", "true", "think", "they")
"""In the vocabulary but never written in pretraining: for prompts that no model has seen."""

PEOPLE_TEXT = """
ann bob carl dora emil fay gus hana ivan jane kurt lena milo nora
otto pia quin rosa sven tess udo vera walt xena yuri zoe alma boris
cleo dirk edna finn greta hugo iris jonas kira lars mona nils olga paul
rita saul tara uwe viola wim yara zeno
"""
PEOPLE = tuple(PEOPLE_TEXT.split())

RELATIONS = {
    "likes": "tea coffee milk cocoa juice water soup cake",
    "plays": "chess golf poker tennis rugby hockey darts cricket",
    "owns": "dog cat horse parrot goat rabbit pony snake",
    "studies": "law physics music history botany latin logic art",
    "fears": "spiders thunder heights ghosts wolves fire crowds darkness",
    "visits": "paris rome oslo cairo lima tokyo delhi quito",
    "wears": "hat scarf gloves boots coat vest sandals belt",
    "drives": "truck van bus tram taxi tractor scooter jeep",
    "grows": "roses beans corn tulips grapes onions wheat figs",
    "builds": "boats kites chairs clocks walls toys bridges drums",
    "paints": "faces trees ships fruit clouds houses birds rivers",
    "collects": "stamps coins shells maps stones books masks keys",
    "sells": "bread cheese honey wine paper soap candles salt",
    "teaches": "dance french algebra drama yoga cooking poetry sewing",
}
"""Relation -> its eight values."""
