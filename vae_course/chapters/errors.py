"""The one exception that the command line shows as a message instead of a traceback."""


class ChapterError(ValueError):
    """Something about the book's files or its recorded values is wrong; the message says what."""
