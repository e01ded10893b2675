"""The ledger's place on disk: a private folder on a file system of this host."""

import os
import stat
from pathlib import Path

from agentd.core import PermanentError, Reason

MOUNTS = Path("/proc/mounts")

# File systems that several hosts share. WAL keeps its index in memory that all processes map: it works on one host only
# (sqlite.org/wal.html), and locks over the network are unreliable at best.
SHARED = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3"}
    | {"smbfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
)


def prepare(path: Path, mounts: Path = MOUNTS) -> None:
    """Make the folder (mode 0700) and an empty file (mode 0600) unless they are there.

    PermanentError: the place is not usable, with the operating system's word for why.
    """
    try:
        path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        refuse_shared(path.parent, mounts)
        if not path.exists():
            _create(path)
    except OSError as error:
        raise PermanentError(Reason.ACCESS_DENIED, f"the ledger cannot be kept at {path}: {error}") from error
    refuse_other_kinds(path)


def refuse_other_kinds(path: Path) -> None:
    """PermanentError unless the path is a file."""
    if not path.exists():
        raise PermanentError(Reason.INVALID_REQUEST, f"there is no ledger at {path}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise PermanentError(Reason.INVALID_REQUEST, f"the ledger's path {path} is not a file")


def refuse_shared(folder: Path, mounts: Path = MOUNTS) -> None:
    """PermanentError(unsupported) when the folder is on a network file system; no check where the system has no list."""
    if not mounts.exists():
        return
    kind = file_system(folder.resolve(), mounts.read_text(encoding="utf-8", errors="replace"))
    if kind in SHARED:
        raise PermanentError(
            Reason.UNSUPPORTED,
            f"the ledger's folder {folder} is on a network file system ({kind}), where SQLite's write-ahead log does not "
            "work; use a volume of this host, or a ledger that is made for several hosts",
        )


def file_system(folder: Path, mounts: str) -> str | None:
    """The type of the file system that holds an absolute folder, from the text of /proc/mounts (man 5 fstab)."""
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:  # noqa: PLR2004 - device, mount point, type
            continue
        point = Path(_unescaped(fields[1]))
        depth = len(point.parts)
        if folder.is_relative_to(point) and (best is None or depth >= best[0]):
            best = (depth, fields[2])
    return best[1] if best else None


def _unescaped(field: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(code, char)
    return field


def _create(path: Path) -> None:
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return  # another process was faster
    os.close(file)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name survives a crash of the machine
    finally:
        os.close(folder)
