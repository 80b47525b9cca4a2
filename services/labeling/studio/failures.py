"""What can go wrong between this service and a Label Studio."""

from __future__ import annotations

from pipeline.errors import TransientError


class StudioError(TransientError):
    """Label Studio did not do what it was asked. Trying again can help: a person may mend it."""


class StudioUnavailable(StudioError):
    """No answer, an error of the server's own, or a page that is no answer at all."""


class StudioRefused(StudioError):
    """It answered, and refuses: the token is revoked, or the request is not taken. `status` is
    that of its answer, where it gave one."""

    def __init__(self, words: str = "", status: int | None = None) -> None:
        super().__init__(words)
        self.status = status

    @property
    def blames_content(self) -> bool:
        """What was sent is not taken, or too large; and not who sends it, or where to."""
        return self.status in (400, 413)


class ProjectMissing(StudioRefused):
    """The project was deleted there."""
