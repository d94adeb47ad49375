"""The two ways in which lab gives up: each a single line that names its remedy."""


class Missing(Exception):
    """Something the lab needs is not there. The text is one line; `remedy` says what to do."""

    exit_code = 1

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}" if remedy else reason)
        self.reason, self.remedy = reason, remedy


class CannotRun(Missing):
    """This machine lacks a right that a cluster needs, whatever is installed."""

    exit_code = 3
