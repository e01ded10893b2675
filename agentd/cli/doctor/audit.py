"""The audit log: a folder that lasts, a key to sign with, and a place for copies."""

import asyncio
from collections.abc import Sequence

from agentd.audit import AuditConfig, Signer
from agentd.cli.doctor import places
from agentd.cli.doctor.findings import Finding, failed, ok, skipped, warned
from agentd.cli.doctor.run import Check
from agentd.cli.doctor.site import Site
from agentd.ledger.sqlite.inspection import Place, look_at_place

_PLACE = ("audit.folder", "audit.volume", "audit.space")
_KEY = "audit.key"
_COPIES = "audit.copies"
_ENABLE = "set audit.enabled: without it nobody can show afterwards who did what"


async def _place(site: Site) -> Sequence[Finding]:
    config = site.settings.audit
    if not config.enabled:
        return [warned(_PLACE[0], "there is no audit log", _ENABLE), *_unneeded(_PLACE[1:])]
    path = config.folder(site.settings.ledger.path)
    place = await asyncio.to_thread(look_at_place, path / "chain")
    volume = "mount a volume at audit.directory, or set audit.bucket or audit.copy_directory for copies"
    return [
        folder(place, config),
        places.lasting("audit.volume", place, content="what has no copy elsewhere", mend=volume),
        places.space("audit.space", place, mend="free or add space: without its log the agent takes up nothing new"),
    ]


async def _key(site: Site) -> Sequence[Finding]:
    config = site.settings.audit
    if not config.enabled:
        return _unneeded((_KEY,))
    if config.signing_key_file is None:
        found = "ends of files are not signed: who can write them can make others"
        return [skipped(_KEY, found, "set audit.signing_key_file; `agentd keys new` makes a key")]
    await asyncio.to_thread(Signer.read, config.signing_key_file)
    return [ok(_KEY, f"{config.signing_key_file} can be read and signs")]


async def _copies(site: Site) -> Sequence[Finding]:
    config = site.settings.audit
    if not config.enabled:
        return _unneeded((_COPIES,))
    if config.bucket is not None:
        return [await places.bucket(_COPIES, site, config.bucket, prefix=config.prefix, setting="audit.bucket")]
    if config.copy_directory is not None:
        return [
            await asyncio.to_thread(places.directory, _COPIES, config.copy_directory, setting="audit.copy_directory")
        ]
    found = "there are none: who owns this host can remove the log"
    return [skipped(_COPIES, found, "set audit.bucket (with Object Lock), or audit.copy_directory")]


def folder(place: Place, config: AuditConfig) -> Finding:
    """Whether the daemon can write its log."""
    check = _PLACE[0]
    if place.writable:
        return ok(check, f"{place.folder} can be written to")
    setting = "audit.directory" if config.directory is not None else "ledger.path"
    return failed(
        check,
        f"{place.folder} cannot be written to by this user",
        f"give it to the user that runs the agent (uid 10001 in the image), or set {setting}; run the doctor as that user",
    )


def _unneeded(checks: Sequence[str]) -> list[Finding]:
    return [skipped(check, "there is no audit log", _ENABLE) for check in checks]


CHECKS = (
    Check(_PLACE, _place, "audit.directory: name a folder that the agent's user may write to, on a volume"),
    Check((_KEY,), _key, "audit.signing_key_file: an Ed25519 private key that the agent's user may read"),
    Check(
        (_COPIES,),
        _copies,
        "audit.bucket: see that the network reaches S3; to have it looked at, allow the agent s3:ListBucket on the bucket",
        for_the_doctor_alone=True,
    ),
)
