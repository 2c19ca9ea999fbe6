"""The one exception for a user's mistake."""

from hydra.errors import CompactHydraException


class Refusal(CompactHydraException):
    """Something that can't work, told in one sentence that says what to do instead; never shown with a traceback."""
