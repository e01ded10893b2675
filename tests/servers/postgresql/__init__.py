"""Real PostgreSQL servers from their package registry, of two major versions, as processes of this machine."""

from tests.servers.postgresql.server import MAJORS, PostgresServer, run_postgres

__all__ = ["MAJORS", "PostgresServer", "run_postgres"]
