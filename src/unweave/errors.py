"""The one kind of error that a user can mend."""


class UnweaveError(Exception):
    """A mistake outside the code: its message is one line that names the file, key or layer, and the mend.

    The command line prints it without a traceback and exits with status 2.
    """
