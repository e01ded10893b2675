"""`agentd audit`, as people and their scripts use it."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from agentd.cli import main
from agentd.core import AuditKind
from tests.unit.audit.rig import EVENT, SMALL, files, opened, written

OTHER = "6f0c1a2b-0000-4000-8000-000000000002"


def _run(*arguments: object, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, arguments)], env=environment, catch_exceptions=False)


def _written(folder: Path, entries: int = 3, **settings: object) -> Path:
    asyncio.run(written(folder, entries, **settings))  # type: ignore[arg-type]  # settings are any
    return folder


def _damaged(folder: Path) -> Path:
    (file,) = files(folder)
    file.write_bytes(file.read_bytes().replace(b'"attempt":1', b'"attempt":7'))
    return file


def test_an_intact_log(tmp_path: Path) -> None:
    result = _run("verify", _written(tmp_path))
    assert result.exit_code == 0
    assert "replica-1" in result.output
    assert result.output.splitlines()[-1].startswith("intact: 5 entries in 1 files, ")


def test_a_log_that_was_tampered_with_is_named_by_file_and_line(tmp_path: Path) -> None:
    file = _damaged(_written(tmp_path))
    result = _run("verify", tmp_path)
    assert result.exit_code == 1
    assert f"tampered: {file}:3: entry 3 has been changed: its hash does not fit" in result.output
    assert result.output.splitlines()[-1].startswith("tampered: ")


def test_a_torn_log(tmp_path: Path) -> None:
    _written(tmp_path)
    (file,) = files(tmp_path)
    file.write_bytes(file.read_bytes()[:-10])
    result = _run("verify", file)
    assert result.exit_code == 3
    assert f"incomplete: {file}:5: torn end" in result.output


def test_for_machines(tmp_path: Path) -> None:
    file = _damaged(_written(tmp_path))
    result = _run("verify", tmp_path, "-o", "json")
    document = json.loads(result.output)
    assert result.exit_code == 1
    assert (document["verdict"], document["entries"], document["files"]) == ("tampered", 4, 1)
    (chain,) = document["chains"]
    assert (chain["chain"], chain["verdict"], chain["closed"], chain["segments"]) == ("replica-1", "tampered", True, 1)
    (problem,) = chain["problems"]
    assert (problem["file"], problem["line"], problem["verdict"]) == (str(file), 3, "tampered")


def test_a_head_that_was_kept_elsewhere(tmp_path: Path) -> None:
    _written(tmp_path)
    head = json.loads(_run("verify", tmp_path, "-o", "json").output)["chains"][0]["head"]
    assert _run("verify", tmp_path, "--head", head).exit_code == 0
    (file,) = files(tmp_path)
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-2]))
    assert _run("verify", tmp_path).exit_code == 0, "the file alone cannot tell"
    result = _run("verify", tmp_path, "--head", head)
    assert result.exit_code == 1
    assert "has been cut: it ends with entry 3, but the given head knows entry 5" in result.output


def test_signed_ends(tmp_path: Path) -> None:
    made = CliRunner().invoke(main, ["keys", "new", str(tmp_path / "private.json")], catch_exceptions=False)
    (tmp_path / "keys.json").write_text(made.stdout)
    _written(tmp_path / "signed", signing_key_file=tmp_path / "private.json")
    _written(tmp_path / "unsigned")
    assert _run("verify", tmp_path / "signed", "--keys", tmp_path / "keys.json").exit_code == 0
    assert _run("verify", tmp_path / "unsigned", "--keys", tmp_path / "keys.json").exit_code == 1


def test_signed_ends_with_keys_in_pem(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    private, public = tmp_path / "private.pem", tmp_path / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    _written(tmp_path / "signed", signing_key_file=private)
    assert _run("verify", tmp_path / "signed", "--keys", public).exit_code == 0
    result = _run("verify", tmp_path / "signed", "--keys", private)
    assert (result.exit_code, "private.pem holds no public key" in result.output) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--head", "nonsense"), "'nonsense' is no CHAIN:SEQ:HASH"),
        (("--keys", "missing.pem"), "missing.pem: No such file"),
        (("--keys", __file__), "test_commands.py holds no public key"),
        (("missing",), "does not exist"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = _run("verify", tmp_path, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_without_a_path_it_is_the_agents_own(tmp_path: Path) -> None:
    environment = {
        "AGENTD_TENANT_ID": EVENT,
        "AGENTD_CLUSTER_ID": EVENT,
        "AGENTD_REPORTS_QUEUE_URL": "https://queue.invalid/reports",
        "AGENTD_COMMANDS__QUEUE_URL": "https://queue.invalid/commands",
        "AGENTD_LEDGER__PATH": str(tmp_path / "ledger.db"),
    }
    result = _run("verify", environment=environment)
    assert (result.exit_code, result.output) == (1, f"Error: there is no audit log at {tmp_path / 'audit'}\n")
    _written(tmp_path / "audit")
    assert _run("verify", environment=environment).exit_code == 0
    assert EVENT in _run("show", environment=environment).output
    elsewhere = environment | {"AGENTD_AUDIT__DIRECTORY": str(_written(tmp_path / "elsewhere"))}
    assert "elsewhere" not in _run("verify", environment=elsewhere).output
    assert _run("verify", environment=elsewhere).exit_code == 0


# -- show ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Entries of two replicas and two events."""

    async def write() -> None:
        async with (
            opened(tmp_path, "one", segment_bytes=SMALL) as one,
            opened(tmp_path, "two") as two,
        ):
            for number in range(10):
                one.append(number)
                two.log.append(AuditKind.EVENT_FINISHED, event_id=OTHER, subject=f"project/{OTHER}", outcome="failed")
            two.log.append(AuditKind.PROXY_CALL, method="Redrive", event_ids=[EVENT, OTHER], caller="[red]\x1b[2J")

    asyncio.run(write())
    return tmp_path


def _shown(*arguments: object) -> list[dict[str, object]]:
    result = _run("show", *arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_everything_in_the_order_of_time(log: Path) -> None:
    found = _shown(log)
    times = [str(entry["time"]) for entry in found]
    assert times == sorted(times)
    assert len(found) == 21 + 2 * (len(files(log)))
    assert set(found[0]) == {"seq", "replica", "prev", "time", "kind", "facts", "hash"}


def test_only_what_is_looked_for(log: Path) -> None:
    assert len(_shown(log, "--event", EVENT)) == 11, "the call that named it too"
    assert len(_shown(log, "--subject", f"project/{OTHER}")) == 10
    assert len(_shown(log, "--kind", "event.finished")) == 10
    assert len(_shown(log, "--kind", "event.*")) == 20
    assert len(_shown(log, "--kind", "event.*", "--event", OTHER, "--limit", "3")) == 3
    assert _shown(log, "--since", "1h") == _shown(log)
    assert _shown(log, "--since", "2099-01-01T00:00:00+02:00") == []
    half = _shown(log)[10]["time"]
    assert len(_shown(log, "--since", half)) == len(_shown(log)) - 10


def test_the_newest_are_shown(log: Path) -> None:
    assert _shown(log, "--limit", "5") == _shown(log)[-5:]


def test_a_terminal_gets_text_alone(log: Path) -> None:
    result = _run("show", log, "--kind", "proxy.call")
    assert 'caller="[red]\\u001b[2J"' in result.output
    assert "\x1b" not in result.output


def test_what_cannot_be_read_is_counted(log: Path) -> None:
    whole = len(_shown(log))
    file = files(log)[0]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:2], b"\xff\xfe nonsense\n", *lines[3:]]))
    assert len(_shown(log)) == whole - 1
    assert "1 lines could not be read" in _run("show", log).stderr


@pytest.mark.parametrize("since", ["yesterday", "5", "12x", "2030-13-01"])
def test_a_time_that_is_none_is_refused(log: Path, since: str) -> None:
    result = _run("show", log, "--since", since)
    assert result.exit_code == 2
    assert "is neither a time (RFC 3339) nor an age" in result.output
