"""What is asked of the server's catalogues, and the statements that change something.

Statements of this kind take no parameters: the server itself quotes the names and texts in them.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncpg import Connection

# One for each role, of whoever works on it. The first key sets the agent's own locks apart from other programs'.
LOCK = "SELECT pg_advisory_lock(1668246137, hashtext($1))"

ROLE = "SELECT shobj_description(oid, 'pg_authid') AS comment FROM pg_roles WHERE rolname = $1"
DATABASE = """
    SELECT pg_get_userbyid(datdba) AS owner,
           NOT EXISTS (
               SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0
           ) AS is_private
    FROM pg_database WHERE datname = $1
"""
# Who has made a role may grant it; to make it own something, and to end its connections, one must have its rights.
HAS_ROLE = "SELECT rolsuper OR pg_has_role(current_user, $1, 'USAGE') FROM pg_roles WHERE rolname = current_user"

CREATE_ROLE = "CREATE ROLE %I LOGIN PASSWORD %L"
ALTER_ROLE = "ALTER ROLE %I LOGIN PASSWORD %L"
MARK = "COMMENT ON ROLE %I IS %L"
TAKE = "GRANT %I TO CURRENT_USER"
DROP_ROLE = "DROP ROLE IF EXISTS %I"
CREATE = "CREATE DATABASE %I OWNER %I ENCODING 'UTF8' TEMPLATE template0"
SHUT = "REVOKE ALL ON DATABASE %I FROM PUBLIC"
DROP = "DROP DATABASE IF EXISTS %I WITH (FORCE)"


async def quoted(connection: "Connection", statement: str, *texts: str) -> str:
    """The statement with names (%I) and texts (%L) in it, as the server quotes them."""
    casts = "".join(f", ${number}::text" for number in range(2, len(texts) + 2))
    made: str = await connection.fetchval(f"SELECT format($1::text{casts})", statement, *texts)
    return made
