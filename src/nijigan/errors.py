"""The exceptions for mistakes of the user."""


class UserError(Exception):
    """A mistake that the user can correct. The message is one sentence that says what is wrong and what to do.

    The command line prints the message without a traceback and exits with code 2.
    """


class TrainingFailedError(UserError):
    """Training failed because of its settings: the loss is no longer finite, or memory ran out."""


def check(condition: bool, sentence: str) -> None:
    """Raise a `UserError` with the message `sentence` unless `condition` holds."""
    if not condition:
        raise UserError(sentence)
