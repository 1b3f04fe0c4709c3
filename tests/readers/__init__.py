"""Readers of CEF that can't run here, as their documentation and source code say they read.

Each has a function `read` that takes a line and returns its keys and values, and raises `Lost`
where the reader loses the event. They share nothing with cefline, and nothing with each other.
"""


class LostError(Exception):
    """The reader loses the event."""
