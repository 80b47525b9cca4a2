"""What Label Studio 1.23 sends to an ML backend; what is not needed is not read."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from pipeline.records import Record


class SetupRequest(Record):
    """Sent before most other requests, with the access token of the project's owner, in clear."""

    project: str = Field(max_length=200)  # `<number>.<created at>`
    interface: str = Field(alias="schema", repr=False)
    hostname: str = Field(default="", max_length=2000)  # of Label Studio, as a browser has it
    access_token: str | None = Field(default=None, repr=False, max_length=2000)

    @property
    def url(self) -> str:
        """Where Label Studio says that it is; empty for what is no address of a server."""
        try:
            parts = urlsplit(self.hostname)
            _ = parts.port
        except ValueError:
            return ""
        is_server = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
        return self.hostname.rstrip("/") if is_server else ""


class PredictParams(Record):
    context: Any = None  # of an interactive request: what a person just drew


class PredictRequest(Record):
    """`tasks` are Label Studio's own dicts: what is in them is checked one by one."""

    tasks: tuple[dict[str, Any], ...] = Field(repr=False)
    project: str = Field(default="", max_length=200)
    interface: str = Field(alias="label_config", repr=False)
    params: PredictParams | None = None

    @property
    def is_interactive(self) -> bool:
        return self.params is not None and self.params.context is not None
