"""What only one environment's Airflow knows: made once, and never changed by a delivery that comes again."""

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from agentd.platform import Manifest, ObjectRef
from handlers.manifests.kinds import SECRET

KEYS = "airflow-keys"
DATABASE = "airflow-database"

FERNET_KEY = "fernet-key"
JWT_SECRET = "jwt-secret"  # noqa: S105 - the name under which the Secret has it
API_SECRET_KEY = "api-secret-key"  # noqa: S105 - the same
PASSWORD = "password"  # noqa: S105 - the same

# A Fernet key is 32 bytes. Tokens are signed with HS512, whose key should be no shorter than its 64 bytes of digest.
_KEY_BYTES = 32
_JWT_BYTES = 64


@dataclass(frozen=True, slots=True, repr=False)
class AirflowKeys:
    """Stored connections are encrypted with the first; tokens of users and tasks are signed with the second, sessions and

    requests for logs with the third; the last is the database role's. It has no repr, so that no log has them.
    """

    fernet_key: str
    jwt_secret: str
    api_secret_key: str
    database_password: str

    @classmethod
    def settled(cls, keys: Manifest | None, database: Manifest | None, random_bytes: Callable[[int], bytes]) -> Self:
        """Those that the two Secrets hold; what they lack is made anew, of `random_bytes(how many)`."""
        kept, stored = _data(keys), _data(database)
        return cls(
            fernet_key=kept.get(FERNET_KEY) or urlsafe_b64encode(random_bytes(_KEY_BYTES)).decode(),
            jwt_secret=kept.get(JWT_SECRET) or _text(random_bytes(_JWT_BYTES)),
            api_secret_key=kept.get(API_SECRET_KEY) or _text(random_bytes(_KEY_BYTES)),
            database_password=stored.get(PASSWORD) or _text(random_bytes(_KEY_BYTES)),
        )

    def data(self) -> dict[str, str]:
        """What Secret `airflow-keys` holds."""
        return encoded({API_SECRET_KEY: self.api_secret_key, FERNET_KEY: self.fernet_key, JWT_SECRET: self.jwt_secret})


def keys_ref(environment_name: str) -> ObjectRef:
    """Where an environment's keys are."""
    return ObjectRef(SECRET, KEYS, environment_name)


def database_ref(environment_name: str) -> ObjectRef:
    """Where an environment's way to its database is."""
    return ObjectRef(SECRET, DATABASE, environment_name)


def encoded(values: dict[str, str]) -> dict[str, str]:
    """The data of a Secret. Not its `stringData`, which the API server takes in and never shows again."""
    return {name: b64encode(value.encode()).decode() for name, value in values.items()}


def _data(secret: Manifest | None) -> dict[str, str]:
    data: dict[str, str] = (secret or {}).get("data") or {}
    return {name: b64decode(value).decode() for name, value in data.items()}


def _text(value: bytes) -> str:
    """Letters that mean nothing in a URL."""
    return urlsafe_b64encode(value).decode().rstrip("=")
