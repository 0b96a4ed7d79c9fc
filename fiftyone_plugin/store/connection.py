"""Say in a sentence that FiftyOne's database cannot be started or reached.

``import fiftyone`` connects to it, so nothing here imports FiftyOne: which errors are meant is known only once it has
been imported, or has failed to be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["database_said"]

ERRORS = (
    ("pymongo.errors", "ConnectionFailure"),
    ("pymongo.errors", "ConfigurationError"),
    ("fiftyone.core.config", "FiftyOneConfigError"),
    ("fiftyone.core.service", "ServiceException"),
)
"""Errors of a database that is not there, by module and name."""

NOT_ALLOWED = (13, 18)
"""Codes of MongoDB for a user that may not do this, or is not known."""


@contextmanager
def database_said(kept: str = "") -> Iterator[None]:
    """Turn an error of a database that is not there into one that the command line shows; also a decorator.

    Args:
        kept: what is not lost by it, for the end of the sentence.

    Raises:
        OSError: with the reason and what to do, in one sentence.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, _known("fiftyone_plugin.store.lock", "LeaseLost")):
            raise OSError(f"{error}{kept}") from error
        found = error.__cause__ if isinstance(error, ConnectionError) else error  # FiftyOne's own hides the reason
        if found is None or not _is_of_database(found):
            raise
        why = str(found).partition("\n")[0].partition(" (configured timeouts")[0].rstrip(".") or type(found).__name__
        own = "check that the server of FIFTYONE_DATABASE_URI runs; " if os.environ.get("FIFTYONE_DATABASE_URI") else ""
        raise OSError(
            f"FiftyOne's database cannot be started or reached ({why}): {own}`hnm doctor` tells more{kept}"
        ) from error


def _is_of_database(error: BaseException) -> bool:
    refused = isinstance(error, _known("pymongo.errors", "OperationFailure"))
    return isinstance(error, tuple(kind for each in ERRORS for kind in _known(*each))) or (
        refused and getattr(error, "code", None) in NOT_ALLOWED
    )


def _known(module: str, name: str) -> tuple[type, ...]:
    """Return a class if its module was imported: else nothing can be of it."""
    found = getattr(sys.modules.get(module), name, None)
    return () if found is None else (found,)
