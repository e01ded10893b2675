"""Places on disk that the agent keeps something in."""

import os
from pathlib import Path

from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.site import Site
from agentd.cli.doctor.words import size
from agentd.ledger.sqlite.inspection import Place

# File systems that end with the machine, or with the container. Sources: tmpfs(5); overlay is a container's own layer.
FLEETING = frozenset({"aufs", "overlay", "ramfs", "tmpfs"})
_LEAST_BYTES = 100 * 1024**2
_FEW_BYTES = 1024**3


def lasting(check: str, place: Place, *, content: str, mend: str) -> Finding:
    """Whether what is written there lasts. `content`: what would be lost with it."""
    if place.file_system is None:
        return skipped(check, "this system does not list its file systems", f"see to it yourself: {mend}")
    if place.file_system in FLEETING:
        found = f"{place.folder} is on {place.file_system}: it ends with the container or the machine, and with it {content}"
        return warned(check, found, mend)
    return ok(check, f"{place.file_system}, of {'the network' if place.shared else 'this host'}")


def of_sqlite(check: str, place: Place, *, content: str, mend: str) -> Finding:
    """The same of a file of SQLite's, which must belong to this host alone."""
    if place.shared:
        found = f"{place.folder} is on a network file system ({place.file_system}): SQLite's log does not work there"
        return failed(check, found, mend)
    return lasting(check, place, content=content, mend=mend)


def space(check: str, place: Place, *, mend: str) -> Finding:
    """Whether more can be written."""
    found = f"{size(place.free_bytes)} free"
    if place.free_bytes < _LEAST_BYTES:
        return failed(check, found, mend)
    return ok(check, found) if place.free_bytes >= _FEW_BYTES else warned(check, found, mend)


def directory(check: str, path: Path, *, setting: str) -> Finding:
    """Whether files can be made in a folder that should be there. It is asked of the system, not tried."""
    if not path.exists():
        return failed(check, f"{path} is not there", f"make the folder, or mend {setting}")
    if path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return ok(check, f"{path} can be read and written")
    return failed(
        check, f"{path} is no folder that this user may read and write", "give it to the user that runs the agent"
    )


async def bucket(check: str, site: Site, name: str, *, prefix: str, setting: str) -> Finding:
    """Whether there is a bucket of this name."""
    if await (await site.account()).has_bucket(name):
        return ok(check, f"bucket {name} answers; keys begin with {prefix}/")
    return failed(check, f"there is no bucket {name}", f"create it in the agent's account, or mend {setting}")
