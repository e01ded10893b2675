"""Which Airflow an environment gets."""

from collections.abc import Sequence

from agentd.core import PermanentError, Reason
from agentd.platform import Manifest, keys
from agentd.platform.airflow_defaults import Release, release_order

# The major version that this agent knows how to run.
_MAJOR = 3


def resolve(asked: str, running: str | None, releases: Sequence[Release]) -> Release:
    """The release for a version, or for the beginning of one: the one that is running if it fits, else the newest that does.

    An environment is moved on by asking for more than it has, or by taking its release out of the installation. `releases`
    come newest first. PermanentError for what is not known, for other majors, and for anything older than what is running.
    """
    check_major(asked)
    fitting = [release for release in releases if _fits(release.version, asked)]
    kept = [release for release in fitting if release.version == running]
    if kept:
        return kept[0]
    if not fitting:
        known = ", ".join(release.version for release in releases)
        raise PermanentError(
            Reason.INVALID_REQUEST, f"Airflow {asked} is not among the versions of this installation: {known}"
        )
    found = fitting[0]
    if running is not None and release_order(found.version) < release_order(running):
        raise PermanentError(
            Reason.INVALID_REQUEST,
            f"Airflow {running} is running and {found.version} is older: its schema does not go back by itself. "
            f"Ask for {running} or newer; an older one needs a new environment",
        )
    return found


def running(found: Sequence[Manifest]) -> str | None:
    """The newest version that any of these Jobs and Deployments is of, which the schema may have been brought to."""
    labels = [manifest["metadata"].get("labels") or {} for manifest in found]
    versions = [text[keys.VERSION] for text in labels if keys.VERSION in text]
    return max(versions, key=release_order, default=None)


def check_major(asked: str) -> None:
    """Raise PermanentError for a version of another major."""
    major = int(asked.partition(".")[0])
    if major < _MAJOR:
        raise PermanentError(
            Reason.INVALID_REQUEST,
            f"Airflow {asked} is refused: Airflow 2 has reached its end; set airflow_version to 3",
        )
    if major > _MAJOR:
        raise PermanentError(Reason.UNSUPPORTED, f"this agent cannot run Airflow {asked}, only Airflow 3")


def _fits(version: str, asked: str) -> bool:
    wanted = release_order(asked)
    return release_order(version)[: len(wanted)] == wanted
