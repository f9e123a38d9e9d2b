"""The one exception a user's mistake raises: a message that says what, where, and what to do next."""


class MedbenchError(Exception):
    """Something a person can put right; shown without a traceback.

    The message names the file and place, what was found, what was expected and what to do.
    """
