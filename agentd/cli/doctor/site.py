"""The installation that is looked at: its settings, and its parts, opened the way the daemon opens them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from agentd.app.platform import open_cluster, open_registry
from agentd.bus import Queue, QueueFacts, queue_for
from agentd.cli.doctor.once import Once
from agentd.cli.permissions import Need, needs
from agentd.core import Handler, PermanentError, Reason, Runtime
from agentd.dispatch import BadHandlers, load_handlers
from agentd.platform import Cluster, ImageRegistry
from agentd.platform.aws.account import AwsAccount, Caller
from agentd.platform.aws.session import AwsSession
from agentd.platform.kubernetes import Connection, choose_access
from agentd.platform.kubernetes.server import ServerFacts
from agentd.settings import Loaded
from agentd.telemetry import Metrics


class Site:
    """Parts are opened when a check first asks for them, and closed together. Each raises AgentError when it cannot be used."""

    def __init__(
        self, loaded: Loaded, runtime: Runtime, stack: AsyncExitStack, session: AwsSession, deadline_s: float
    ) -> None:
        self.loaded = loaded
        self.deadline_s = deadline_s
        """How long one check may take."""
        self.settings = loaded.settings
        self.runtime = runtime
        self.metrics = Metrics()
        self._stack = stack
        self._session = session
        self.handlers = Once(self._handlers)
        self.account = Once(self._account)
        self.caller = Once(self._caller)
        self.registry = Once(self._registry)
        self.cluster = Once(self._cluster)
        self.server = Once(self._server)
        self.commands = Once(self._commands)
        self.dead_letters = Once(self._dead_letters)
        self.reports = Once(self._reports)
        self._commands_queue = Once(lambda: self._opened(self.settings.commands.queue_url, "commands"))

    @classmethod
    @asynccontextmanager
    async def open(cls, loaded: Loaded, runtime: Runtime, *, deadline_s: float) -> AsyncIterator["Site"]:
        """The site, until the block ends. Nothing is asked of anybody yet."""
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(AwsSession(loaded.settings.aws))
            yield cls(loaded, runtime, stack, session, deadline_s)

    def queues(self) -> Mapping[str, Once[QueueFacts]]:
        """How each queue is set up, by the name that the agent has for it."""
        return {"commands": self.commands, "dead-letters": self.dead_letters, "reports": self.reports}

    async def region(self) -> str:
        """The AWS region in force."""
        found = (await self.account()).region
        if found is None:
            raise PermanentError(Reason.INVALID_REQUEST, "none is set, neither here nor for the SDK")
        return found

    async def needs(self) -> Sequence[Need]:
        """Every right that this installation needs."""
        return needs(self.settings, await self.handlers())

    async def _handlers(self) -> Mapping[str, Handler]:
        try:
            return load_handlers()
        except BadHandlers as error:
            raise PermanentError(Reason.INVALID_REQUEST, str(error)) from error

    async def _account(self) -> AwsAccount:
        return await AwsAccount.open(self._session, metrics=self.metrics, runtime=self.runtime)

    async def _caller(self) -> Caller:
        return await (await self.account()).caller()

    async def _registry(self) -> ImageRegistry:
        return await open_registry(self._session, self.settings, self.runtime, self.metrics)

    async def _cluster(self) -> Cluster | None:
        return await open_cluster(self._stack, self._session, self.settings, self.runtime, self.metrics)

    async def _server(self) -> ServerFacts | None:
        config = self.settings.cluster
        if config.access == "none":
            return None
        access = choose_access(config, self._session, metrics=self.metrics, runtime=self.runtime)
        connection = await self._stack.enter_async_context(Connection(access, self.runtime))
        return ServerFacts(connection, timeout_s=config.call_timeout_s, runtime=self.runtime)

    async def _commands(self) -> QueueFacts:
        return await (await self._commands_queue()).facts()

    async def _dead_letters(self) -> QueueFacts:
        url = self.settings.commands.dead_letter_queue_url or (await self._commands_queue()).dead_letters_url
        if url is None:
            raise PermanentError(
                Reason.INVALID_REQUEST,
                "there is none: commands.dead_letter_queue_url is not set, and the commands queue has no redrive policy",
            )
        return await (await self._opened(url, "dead-letters")).facts()

    async def _reports(self) -> QueueFacts:
        return await (await self._opened(self.settings.reports_queue_url, "reports")).facts()

    async def _opened(self, url: str, name: str) -> Queue:
        settings = self.settings
        queue = queue_for(url, name=name, aws=settings.aws, azure=settings.azure, runtime=self.runtime)
        self._stack.push_async_callback(queue.close)
        await queue.open()
        return queue
