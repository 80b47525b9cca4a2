"""Whether the broker is there for this user."""

from __future__ import annotations

from kombu import Connection

from pipeline.broker.publishing import sent_or_broker_error
from pipeline.broker.transport import transport_of, transport_options


def check_broker(broker_url: str) -> None:
    """BrokerError when it does not answer, or does not know this user."""
    options = transport_options("", broker_url)
    with (
        sent_or_broker_error("a greeting"),
        Connection(broker_url, transport=transport_of(broker_url), transport_options=options) as it,
    ):
        it.ensure_connection(max_retries=1, interval_start=0)
        it.default_channel  # noqa: B018  # opening it asks
