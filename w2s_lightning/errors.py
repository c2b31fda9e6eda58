"""The one exception that means "the user can mend this", shown alone without a stack trace; and texts of others, made
harmless to a terminal."""


class UserError(ValueError):
    """A mistake in input, configuration or environment.

    The text says what was wrong, what was expected and what to type instead, in one or two lines.
    """


def printable(text: str, keep: str = "") -> str:
    """Text of others without control characters, which a terminal would obey, but for those in `keep`."""
    return "".join(sign if sign.isprintable() or sign in keep else "\N{REPLACEMENT CHARACTER}" for sign in text)
