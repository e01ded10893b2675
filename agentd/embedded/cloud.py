"""The emulated cloud: SQS, ECR, S3 and more on this machine, in a child process that ends with this one."""

import importlib.util
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from agentd.embedded.calls import is_write
from agentd.embedded.child import EmbeddedServerError, run_child
from agentd.embedded.control import ControlClient
from agentd.embedded.faults import Fault

_ACCOUNT = "111122223333"
_REGION = "eu-west-1"
_CHILD_ENVIRONMENT = MappingProxyType(
    {
        "AUTH": "false",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "LOG_LEVEL": "WARNING",
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": _REGION,
        "MINISTACK_ACCOUNT_ID": _ACCOUNT,
        # It would look for containers of its own otherwise, and remove them.
        "DOCKER_HOST": "unix:///nonexistent",
    }
)
_MODULE = "agentd.embedded.cloud_server"


class EmbeddedCloud:
    """A running emulated cloud. Make one with `EmbeddedCloud.start`."""

    def __init__(self, endpoint_url: str, control: ControlClient) -> None:
        self.endpoint_url = endpoint_url
        """For `AwsConfig.endpoint_url`."""
        self._control = control

    @classmethod
    @asynccontextmanager
    async def start(cls, port: int | None = None, log: Path | None = None) -> AsyncIterator["EmbeddedCloud"]:
        """Run it on a loopback port (any free one unless given) until the block ends.

        The child's output goes to the end of the file `log`, or nowhere. EmbeddedServerError carries it when the child does not
        come up.
        """
        if importlib.util.find_spec("ministack") is None:
            raise EmbeddedServerError(
                "the emulated cloud is not installed: it comes with the extra 'embedded' (pip install 'agentd[embedded]')"
            )
        arguments = (str(port or 0),)
        async with run_child(
            "the emulated cloud", _MODULE, arguments, environment=_CHILD_ENVIRONMENT, log=log
        ) as taken:
            endpoint_url = f"http://127.0.0.1:{taken}"
            async with ControlClient.session(endpoint_url) as session:
                yield cls(endpoint_url, ControlClient(session))

    @property
    def environment(self) -> Mapping[str, str]:
        """The AWS_* variables with which any SDK talks to it. The access key is the account's number."""
        return {
            "AWS_ACCESS_KEY_ID": _ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "embedded",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def region(self) -> str:
        """The region that `environment` names."""
        return _REGION

    async def inject(self, fault: Fault) -> str:
        """Put a fault in force, and return its id."""
        return await self._control.inject(fault)

    async def clear(self, *fault_ids: str) -> None:
        """Lift these faults, or all."""
        await self._control.clear(*fault_ids)

    async def hits(self, fault_id: str) -> int:
        """How many calls a fault has met; 0 once it is lifted."""
        return await self._control.hits(fault_id)

    async def calls(self) -> Mapping[tuple[str, str], int]:
        """Calls by (service, operation) since the start or the last reset, refused ones included."""
        return await self._control.calls()

    @staticmethod
    def writes(calls: Mapping[tuple[str, str], int], service: str | None = None) -> Mapping[tuple[str, str], int]:
        """Those of the calls that change something, of one service or of all; empty when there are none."""
        return {
            (name, operation): number
            for (name, operation), number in calls.items()
            if is_write(operation) and service in (None, name)
        }

    async def reset_calls(self) -> None:
        """Count from nought again."""
        await self._control.reset_calls()
