"""The adapter for a queue's URL."""

from agentd.bus.address import kind_of
from agentd.bus.facts import QueueKind
from agentd.bus.protocol import Queue
from agentd.core import AwsConfig, AzureConfig, PermanentError, Reason, Runtime


def queue_for(
    url: str, *, name: str, aws: AwsConfig, azure: AzureConfig, runtime: Runtime, create: bool = False
) -> Queue:
    """The queue that the URL names, not yet open; `name` is what the agent calls it.

    `create`: make it when it is not there. No queue of SQS is ever made. PermanentError: the URL is none, or what its kind
    needs is not installed.
    """
    match kind_of(url):
        case QueueKind.EMBEDDED:
            from agentd.bus.embedded import EmbeddedQueue

            return EmbeddedQueue(url, name=name, runtime=runtime, create=create)
        case QueueKind.AZURE:
            return _azure(url, name=name, azure=azure, runtime=runtime, create=create)
        case QueueKind.SQS:
            from agentd.bus.sqs import SqsQueue

            return SqsQueue(url, name=name, aws=aws, runtime=runtime)


def _azure(url: str, *, name: str, azure: AzureConfig, runtime: Runtime, create: bool) -> Queue:
    try:
        from agentd.bus.azure import AzureQueue
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "azure":
            raise
        raise PermanentError(
            Reason.UNSUPPORTED, f"queue {name}: what Azure needs is not installed (pip install 'agentd[azure]')"
        ) from error
    return AzureQueue(url, name=name, azure=azure, runtime=runtime, create=create)
