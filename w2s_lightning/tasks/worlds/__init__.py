"""Embedded worlds: small procedural worlds whose text a ladder model is pretrained on, with nothing to download."""
