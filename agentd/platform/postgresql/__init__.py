"""Databases on a PostgreSQL server, version 13 or newer."""

from agentd.platform.postgresql.databases import PostgresDatabases

__all__ = ["PostgresDatabases"]
