"""What can go wrong, as types. Expected outcomes are returned (see records.Outcome), never raised.

PipelineError
├── TransientError      try again later: retried with backoff and jitter
│   ├── FetchError          the other side did not answer well (carries an Outcome)
│   ├── StorageError        the object store did not take or give an object
│   │   └── StorageDenied       it knows us not, or not for that: credentials may be about to change
│   ├── BrokerError         the broker did not take a message
│   └── ModelUnavailable    a detector's model file is not there yet
├── PermanentError      trying again cannot help: never retried
│   ├── UnreadableImage     bytes that cannot be decoded (carries an Outcome)
│   ├── CorruptModel        a model file whose hash is not the expected one
│   └── NotAnonymised       faces are still found after every round of blurring
└── UserError           something the person at the keyboard can mend; shown as one line
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.records import Outcome


class PipelineError(Exception):
    """The root of every error this project raises on purpose."""


class TransientError(PipelineError):
    """Try again later."""


class FetchError(TransientError):
    """A URL could not be fetched; `outcome` says how it is counted."""

    def __init__(
        self, outcome: Outcome, reason: str, *, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
        self.retry_after_s = retry_after_s


class StorageError(TransientError):
    """The object store did not take or give an object."""


class StorageDenied(StorageError):
    """The object store does not know this user, or refuses it this object."""


class CatalogError(TransientError):
    """The catalog did not answer, or has no room."""


class BrokerError(TransientError):
    """The broker did not take a message."""


class ModelUnavailable(TransientError):
    """A detector's model file is not there yet."""


class PermanentError(PipelineError):
    """Trying again cannot help."""


class ObjectMissing(PermanentError):
    """The object store has no object by that key."""


class UnreadableImage(PermanentError):
    """Bytes that cannot be decoded within bounds; `outcome` says how they are counted."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason


class CorruptModel(PermanentError):
    """A model file whose hash is not the expected one."""


class NotAnonymised(PermanentError):
    """Faces are still found after every round of blurring."""


class DeadlineMissed(PipelineError):
    """A task took longer than it may."""


class UserError(PipelineError):
    """Something the person at the keyboard can mend."""
