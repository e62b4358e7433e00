"""The one exception a user's mistake raises."""


class UserError(Exception):
    """Something the user can mend: one sentence that says what is wrong and what to do.

    The command line prints the sentence without a traceback and exits with code 2.
    """


class TrainingFailedError(UserError):
    """A training that its own settings brought down: a loss that is no longer finite, or a memory that is too small."""


def check(condition: bool, sentence: str) -> None:
    """Refuse, with a `UserError` that says `sentence`, what does not meet a condition."""
    if not condition:
        raise UserError(sentence)
