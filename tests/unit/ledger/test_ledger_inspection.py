"""The ledger looked at from outside: where it is, what is in it, and that the look leaves no trace."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agentd.core import PermanentError, TransientError
from agentd.ledger import LedgerConfig
from agentd.ledger.sqlite.connection import open_for_writing
from agentd.ledger.sqlite.inspection import KNOWN_VERSION, Condition, look_at_place, look_inside


def made(path: Path) -> LedgerConfig:
    """A ledger that has been closed in good order."""
    config = LedgerConfig(path=path)
    open_for_writing(config).close()
    return config


def test_a_place_that_is_not_there_yet_is_looked_at_and_not_made(tmp_path: Path) -> None:
    place = look_at_place(tmp_path / "state" / "deep" / "ledger.db")
    assert (place.folder, place.exists, place.writable) == (tmp_path, False, True)
    assert place.free_bytes > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("kind", "shared"), [("ext4", False), ("overlay", False), ("nfs4", True)])
def test_a_place_is_told_with_its_file_system(tmp_path: Path, kind: str, shared: bool) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / xfs rw 0 0\ndevice {tmp_path.resolve()} {kind} rw 0 0\n")
    place = look_at_place(tmp_path / "ledger.db", mounts)
    assert (place.file_system, place.shared) == (kind, shared)
    assert look_at_place(tmp_path / "ledger.db", tmp_path / "no such list").file_system is None


def test_what_is_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PermanentError, match="is a file"):
        look_at_place(tmp_path / "file" / "ledger.db")
    with pytest.raises(PermanentError, match="is not a file"):
        look_at_place(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert not look_at_place(tmp_path / "ledger.db").writable


def test_a_whole_ledger(tmp_path: Path) -> None:
    config = made(tmp_path / "ledger.db")
    before = config.path.read_bytes()
    assert look_inside(config, within_s=10) == Condition(KNOWN_VERSION, ())
    assert config.path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db"]


def test_a_ledger_that_is_in_use(tmp_path: Path) -> None:
    config = made(tmp_path / "ledger.db")
    with closing(open_for_writing(config)) as daemon:
        daemon.execute("BEGIN IMMEDIATE")
        assert look_inside(config, within_s=10) == Condition(KNOWN_VERSION, ())
        daemon.execute("COMMIT")


@pytest.mark.parametrize("version", [0, KNOWN_VERSION + 1])
def test_any_version_is_read(tmp_path: Path, version: int) -> None:
    config = made(tmp_path / "ledger.db")
    with closing(sqlite3.connect(config.path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert look_inside(config, within_s=10).version == version


def test_damage_is_named(tmp_path: Path) -> None:
    config = made(tmp_path / "ledger.db")
    with closing(sqlite3.connect(config.path)) as connection:
        connection.execute("INSERT INTO held_locks VALUES ('a', 'b', 'read'), ('b', 'c', 'read')")
        connection.commit()
        page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'held_locks'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(config.path.read_bytes())
    content[(page - 1) * size + 3 : (page - 1) * size + 5] = b"\x00\x01"  # the number of rows of the page
    config.path.write_bytes(content)
    assert look_inside(config, within_s=10).damages != ()


def test_what_is_no_ledger_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(PermanentError, match="another program"):
        look_inside(LedgerConfig(path=path), within_s=10)
    path.write_bytes(b"no database at all, and longer than the header of one" * 100)
    with pytest.raises(PermanentError, match="not a database"):
        look_inside(LedgerConfig(path=path), within_s=10)


def test_a_look_that_takes_too_long_is_broken_off(tmp_path: Path) -> None:
    config = made(tmp_path / "ledger.db")
    with closing(sqlite3.connect(config.path)) as connection:
        rows = (("project", f"name-{number}", "subject") for number in range(20_000))
        connection.executemany("INSERT INTO reserved_names VALUES (?, ?, ?)", rows)
        connection.commit()
    with pytest.raises(TransientError, match=r"not read through within 0 s: .*interrupted"):
        look_inside(config, within_s=0)
