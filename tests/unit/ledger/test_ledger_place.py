"""Where the file may be, who may read it, and what is refused with a clear sentence."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from agentd.core import PermanentError, Reason
from agentd.ledger import Held, LedgerConfig
from agentd.ledger.sqlite import SqliteLedger
from agentd.ledger.sqlite.connection import open_for_reading, open_for_writing
from agentd.ledger.sqlite.place import MOUNTS, file_system, prepare, refuse_shared
from tests.conformance.ledger.rig import FIRST, NOW, SUCCEEDED, Event, claimed, done
from tests.unit.ledger.conftest import Open

MOUNT_TABLE = """\
/dev/vda / ext4 rw,relatime 0 0
proc /proc proc rw 0 0
files.example:/share /var/lib nfs4 rw 0 0
/dev/vdb /var/lib/agentd ext4 rw 0 0
//host/share /mnt/with\\040space cifs rw 0 0
overlay /data overlay rw 0 0
files.example:/share /data nfs rw 0 0
"""


def fill(path: Path, content: bytes) -> None:
    """Make the file what the test needs."""
    path.write_bytes(content)


def content_of(path: Path) -> bytes:
    """What the file holds."""
    return path.read_bytes()


@pytest.mark.parametrize("umask", [0o000, 0o022])
async def test_folder_and_files_are_private(open_ledger: Open, path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        ledger = await open_ledger()
        await ledger.admit(Event(1).admission())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_folder_that_is_there_is_left_as_it_is(open_ledger: Open, path: Path) -> None:
    path.parent.mkdir(mode=0o750)
    await open_ledger()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750


async def test_a_clean_close_leaves_one_file(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    await ledger.admit(Event(1).admission())
    await ledger.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]
    again = await open_ledger()
    assert await again.lookup(Event(1).key) is not None


@pytest.mark.parametrize("name", ["a folder?#%41/ledger & more.db", "ü/ledger.db"])
async def test_a_path_with_odd_characters(tmp_path: Path, name: str) -> None:
    ledger = await SqliteLedger.open(LedgerConfig(path=tmp_path / name), observe=lambda *_: None)
    await ledger.close()
    assert [file.name for file in (tmp_path / name).parent.iterdir()] == [Path(name).name]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/home/x", "ext4"),
        ("/var/lib/other", "nfs4"),
        ("/var/lib/agentd", "ext4"),
        ("/var/lib/agentd/deep", "ext4"),
        ("/var/library", "ext4"),
        ("/mnt/with space/x", "cifs"),
        ("/data", "nfs"),
    ],
)
def test_the_file_system_of_a_folder(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNT_TABLE) == kind


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nfiles.example:/share {tmp_path.resolve()} nfs4 rw 0 0\n")
    with pytest.raises(PermanentError, match=r"on a network file system \(nfs4\)") as caught:
        refuse_shared(tmp_path, mounts)
    assert caught.value.reason is Reason.UNSUPPORTED
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    with pytest.raises(PermanentError):
        refuse_shared(link, mounts)
    with pytest.raises(PermanentError):
        prepare(tmp_path / "state" / "ledger.db", mounts)
    assert not (tmp_path / "state" / "ledger.db").exists()
    refuse_shared(tmp_path.parent, mounts)
    refuse_shared(tmp_path, tmp_path / "no such list")


@pytest.mark.skipif(not MOUNTS.exists(), reason="this system has no list of mounts")
def test_this_machines_own_list_is_understood(tmp_path: Path) -> None:
    assert file_system(tmp_path.resolve(), MOUNTS.read_text()) is not None


async def test_a_folder_that_cannot_be(open_ledger: Open, path: Path) -> None:
    fill(path.parent, b"a file where the folder should be")
    with pytest.raises(PermanentError, match="cannot be kept at"):
        await open_ledger()


async def test_a_folder_in_the_files_place(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="is not a file"):
        await SqliteLedger.open(LedgerConfig(path=tmp_path), observe=lambda *_: None)


async def test_a_file_that_is_no_database(open_ledger: Open, path: Path) -> None:
    path.parent.mkdir()
    fill(path, b"this is not a database, and long enough to look like one" * 100)
    for read_only in (False, True):
        with pytest.raises(PermanentError, match="cannot be used: file is not a database"):
            await open_ledger(read_only=read_only)
    assert content_of(path).startswith(b"this is not")


async def test_a_damaged_file(open_ledger: Open, path: Path) -> None:
    ledger = await open_ledger()
    await ledger.close()
    content = content_of(path)
    fill(path, content[:100] + b"\xff" * 2900 + content[3000:])  # the root page of the schema
    with pytest.raises(PermanentError, match=r"cannot be used: .*malformed"):
        await open_ledger()


async def test_another_programs_database_is_left_alone(open_ledger: Open, path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(PermanentError, match="another program"):
        await open_ledger()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]


# -- reading only ------------------------------------------------------------------------------------------------------


async def test_a_reader_makes_no_file(open_ledger: Open, path: Path) -> None:
    with pytest.raises(PermanentError, match="there is no ledger at"):
        await open_ledger(read_only=True)
    assert not path.parent.exists()
    path.parent.mkdir()
    with pytest.raises(PermanentError, match="there is no ledger at"):
        await open_ledger(read_only=True)
    assert list(path.parent.iterdir()) == []


async def test_a_reader_of_an_empty_file_does_not_fill_it(open_ledger: Open, path: Path) -> None:
    path.parent.mkdir()
    fill(path, b"")
    with pytest.raises(PermanentError, match="start this version of the agent once"):
        await open_ledger(read_only=True)
    assert content_of(path) == b""


async def test_a_reader_sees_what_the_daemon_does(open_ledger: Open) -> None:
    daemon = await open_ledger()
    reader = await open_ledger(read_only=True)
    assert await reader.lookup(Event(1).key) is None
    record = await done(daemon, Event(1))
    assert await reader.lookup(Event(1).key) == record
    attempt = await claimed(daemon, Event(2, generation=2))
    state = await reader.subject(FIRST)
    assert state is not None
    assert state.held_by == Held(Event(2).key, "a", str(FIRST), NOW + 60)
    await reader.close()
    await daemon.finish(Event(2).ending(SUCCEEDED, claim=attempt.claim))


async def test_a_reader_works_without_a_daemon_and_leaves_nothing(open_ledger: Open, path: Path) -> None:
    daemon = await open_ledger()
    record = await done(daemon, Event(1))
    await daemon.close()
    reader = await open_ledger(read_only=True)
    assert await reader.find(Event(1).id) == [record]
    await reader.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.db"]


def test_a_readers_connection_cannot_write(path: Path) -> None:
    config = LedgerConfig(path=path)
    with (
        closing(open_for_writing(config)),
        closing(open_for_reading(config)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM events")


async def test_a_reader_changes_nothing(open_ledger: Open) -> None:
    await open_ledger()
    reader = await open_ledger(read_only=True)
    with pytest.raises(PermanentError, match="opened to be read"):
        await reader.admit(Event(1).admission())
    with pytest.raises(PermanentError, match="opened to be read"):
        await reader.purge(finished_before=NOW)
    assert (await reader.stats()).open_events == 0
