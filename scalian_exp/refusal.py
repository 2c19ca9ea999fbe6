"""The exception for mistakes of the user."""

from hydra.errors import CompactHydraException


class Refusal(CompactHydraException):
    """A mistake of the user, explained in one sentence that says what to do instead; shown without a traceback."""
