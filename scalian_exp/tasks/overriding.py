"""Find out which hooks somebody has defined."""

from typing import Any


def overrides(thing: Any, name: str, base: type) -> bool:
    """Return whether an object overrides a hook of its base class."""
    return hasattr(thing, name) and getattr(getattr(thing, name), "__func__", None) is not getattr(base, name, None)
