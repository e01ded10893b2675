"""A role's password as the server keeps it, so that no statement, and no log of statements, has the password itself."""

import base64
import hashlib
import hmac

_ITERATIONS = 4096  # PostgreSQL's own
SALT_BYTES = 16


def scram_verifier(password: str, salt: bytes) -> str:
    """What `PASSWORD` of CREATE ROLE and ALTER ROLE takes in place of one. Only for passwords in ASCII: others need SASLprep.

    Source: RFC 5803, section 4; its keys are those of RFC 5802, section 3.
    """
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ITERATIONS}:{text[0]}${text[1]}:{text[2]}"
