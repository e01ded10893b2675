"""Access to EKS through the agent's AWS identity, without a kubeconfig.

The token is a presigned GetCallerIdentity of STS, which the cluster sends on to learn who asks. Source: the
aws-iam-authenticator's format, and what `aws eks get-token` gives.
"""

import base64
from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from agentd.core import PermanentError, Reason, Runtime
from agentd.platform.aws.calls import AwsCalls
from agentd.platform.aws.session import AwsSession
from agentd.platform.kubernetes.access import bearer_configuration, keep_fresh
from agentd.platform.kubernetes.library import Configuration
from agentd.telemetry import Metrics

_PREFIX = "k8s-aws-v1."
_CLUSTER_HEADER = "x-k8s-aws-id"
# The signature is made for a minute; the cluster takes the token for 15 of them, and the field counts on 14.
_SIGNED_FOR_S = 60
_RENEW_AFTER_S = 12 * 60.0


class _Request(Protocol):
    headers: dict[str, str]


class EksClient(Protocol):
    """What is used of the SDK's client."""

    def describe_cluster(self, *, name: str) -> Awaitable[Mapping[str, Any]]:
        """As the SDK has it."""
        ...


class EksAccess:
    """Address and authority from EKS, tokens from STS."""

    def __init__(
        self, session: AwsSession, cluster: str, *, timeout_s: float, metrics: Metrics, runtime: Runtime
    ) -> None:
        self._session = session
        self._cluster = cluster
        self._timeout_s = timeout_s
        self._runtime = runtime
        self._eks_calls = AwsCalls(port="cluster", service="eks", metrics=metrics, runtime=runtime)
        self._sts_calls = AwsCalls(port="cluster", service="sts", metrics=metrics, runtime=runtime)
        self._eks: EksClient | None = None
        self._sts: Any = None  # the SDK's client; the types of its events say nothing

    async def configuration(self) -> Configuration:
        """See Access."""
        if self._eks is None:
            self._eks = await self._session.eks()
        answer = await self._eks_calls.call(
            "DescribeCluster",
            f"eks:cluster/{self._cluster}",
            self._eks.describe_cluster(name=self._cluster),
            timeout_s=self._timeout_s,
        )
        found = answer["cluster"]
        if not found.get("endpoint") or not found.get("certificateAuthority", {}).get("data"):
            raise PermanentError(
                Reason.INVALID_REQUEST,
                f"EKS cluster {self._cluster} has no endpoint yet; it is {found.get('status', 'in no known state')}",
            )
        made_at = self._runtime.now()
        configuration = await bearer_configuration(
            f"EKS cluster {self._cluster}",
            server=found["endpoint"],
            authority_data=found["certificateAuthority"]["data"],
            token=await self.token(),
        )

        async def refresh(current: Configuration) -> None:
            nonlocal made_at
            now = self._runtime.now()
            # Both ways: the clock may jump, and a token from the future is as bad as an old one.
            if abs(now - made_at) >= _RENEW_AFTER_S:
                current.api_key["BearerToken"] = f"Bearer {await self.token()}"
                made_at = now

        keep_fresh(configuration, refresh, self._runtime)
        return configuration

    async def token(self) -> str:
        """A token for the cluster, good for 14 minutes."""
        if self._sts is None:
            self._sts = await self._session.sts()
            self._sts.meta.events.register("before-sign.sts.GetCallerIdentity", self._name_cluster)
        url = await self._sts_calls.call(
            "GetCallerIdentity",
            f"eks:cluster/{self._cluster}",
            self._sts.generate_presigned_url(
                "get_caller_identity", Params={}, ExpiresIn=_SIGNED_FOR_S, HttpMethod="GET"
            ),
            timeout_s=self._timeout_s,
        )
        return _PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")

    def _name_cluster(self, request: _Request, **_others: object) -> None:
        """Part of what is signed, so that a token is good for one cluster alone."""
        request.headers[_CLUSTER_HEADER] = self._cluster
