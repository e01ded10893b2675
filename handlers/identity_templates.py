"""Templates of identities: the part of Go's text/template that identities of projects use.

`arn:.../role/orders-{{ .Env }}` and `orders-{{ slice .Env 0 3 }}`, with an environment's name for `.Env`. Everything else
that Go would take, or that looks like a template, is refused: a guess would hand out the wrong identity.
"""

import re

from agentd.core import PermanentError, Reason

_ACTION = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_ENV = re.compile(r"\s*\.Env\s*")
_SLICE = re.compile(r"\s*slice\s+\.Env(?:\s+([0-9]{1,4}))?(?:\s+([0-9]{1,4}))?\s*")

_ALLOWED = "allowed are {{ .Env }} and {{ slice .Env 0 3 }}"


def render(template: str, environment: str) -> str:
    """The identity in an environment. PermanentError(invalid_request) for what is no template of this kind."""
    check(template)
    rendered = _ACTION.sub(lambda found: _evaluate(found[1], template, environment), template)
    if not rendered.strip():
        raise _invalid(template, f"it is empty in {environment}")
    return rendered


def check(template: str) -> None:
    """Whether it is one, whatever the environment. Raises PermanentError(invalid_request)."""
    for action in _ACTION.findall(template):
        if not (_ENV.fullmatch(action) or _SLICE.fullmatch(action)):
            raise _invalid(template, f"found {{{{{action}}}}}; {_ALLOWED}")
    rest = _ACTION.sub("", template)
    if "{{" in rest or "}}" in rest:
        raise _invalid(template, f"a brace has no partner; {_ALLOWED}")


def _evaluate(action: str, template: str, environment: str) -> str:
    sliced = _SLICE.fullmatch(action)
    if sliced is None:
        return environment
    start = int(sliced[1] or 0)
    end = len(environment) if sliced[2] is None else int(sliced[2])
    if not start <= end <= len(environment):
        raise _invalid(template, f"{{{{{action}}}}} is out of range: {environment} has {len(environment)} characters")
    return environment[start:end]


def _invalid(template: str, why: str) -> PermanentError:
    return PermanentError(Reason.INVALID_REQUEST, f"identity template {template!r}: {why}")
