"""What ends a comparison."""


class Failure(Exception):
    """Something is missing, did not start, or answered otherwise than it must: there is nothing to compare."""
