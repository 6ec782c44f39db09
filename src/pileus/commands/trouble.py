"""What a command tells its user instead of a traceback."""


class Trouble(Exception):
    """One or more sentences: what went wrong and what to do."""
