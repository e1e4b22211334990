"""What can go wrong with data, by name."""


class DataError(RuntimeError):
    """The images asked for cannot be had; the message says what was tried and the ways out."""


class DataWarning(UserWarning):
    """A file was broken and set aside, or could not be kept; the images are right nevertheless."""


class ReducedDataWarning(DataWarning):
    """Fewer images than asked for: the bundled part stands in for the whole set."""


class BrokenFileError(DataError):
    """A file's content is not what its name promises."""
