"""The exception for mistakes of the user."""

from hydra.errors import CompactHydraException


class Refusal(CompactHydraException):
    """A mistake of the user, explained in one sentence that says what to do instead; shown without a traceback."""


def refusal_in(text: str) -> str:
    """Return a refusal's sentence without the traceback that a worker process may have added."""
    return text.rpartition("Refusal: ")[2].strip() if "Original Traceback" in text else text
