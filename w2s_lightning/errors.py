"""The one exception that means "the user can mend this": its text is shown alone, without a stack trace."""


class UserError(ValueError):
    """A mistake in input, configuration or environment.

    The text says what was wrong, what was expected and what to type instead, in one or two lines.
    """
