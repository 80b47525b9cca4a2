"""What can go wrong between this service and a Label Studio."""

from __future__ import annotations

from pipeline.errors import TransientError


class StudioError(TransientError):
    """Label Studio did not do what it was asked. Trying again can help: a person may mend it."""


class StudioUnavailable(StudioError):
    """No answer, an error of the server's own, or a page that is no answer at all."""


class StudioRefused(StudioError):
    """It answered, and refuses: the token is revoked, or the request is not taken."""


class ProjectMissing(StudioRefused):
    """The project was deleted there."""
