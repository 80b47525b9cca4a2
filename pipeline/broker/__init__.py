"""The broker: Celery behind a few names. Services declare handlers; here they become tasks."""

from pipeline.broker.app import RELIABILITY, TASK_DEADLINE_S, make_app
from pipeline.broker.checking import check_broker
from pipeline.broker.handlers import Handler, Handlers, PerProcess
from pipeline.broker.publishing import Publish, publisher
from pipeline.broker.rights import acl_rules
from pipeline.broker.transport import VISIBILITY_TIMEOUT_S
from pipeline.broker.worker import make_worker, run_worker

__all__ = [
    "RELIABILITY",
    "TASK_DEADLINE_S",
    "VISIBILITY_TIMEOUT_S",
    "Handler",
    "Handlers",
    "PerProcess",
    "Publish",
    "acl_rules",
    "check_broker",
    "make_app",
    "make_worker",
    "publisher",
    "run_worker",
]
