"""The one kind of error that a user can mend."""

LONGEST = 2000


def one_line(message: str) -> str:
    """`message` with its unprintable characters escaped, cut to `LONGEST` of them."""
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}... ({len(message):,} characters)"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in message
    )


class UnweaveError(Exception):
    """A mistake outside the code: its message is one line that names the file, key or layer, and the mend.

    The command line prints it without a traceback and exits with status 2. Names and values that it quotes may hold
    anything, so unprintable characters are escaped.
    """

    def __str__(self) -> str:
        """One printable line."""
        return one_line(super().__str__())
