"""The part of Go's templates that identities use: what it gives, and that everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentd.core import PermanentError, Reason
from handlers.identity_templates import check, render

ENVIRONMENTS = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("orders", "orders"),
        ("orders-{{ .Env }}", "orders-production"),
        ("{{.Env}}-{{ .Env }}", "production-production"),
        ("arn:aws:iam::111122223333:role/orders-{{ slice .Env 0 3 }}", "arn:aws:iam::111122223333:role/orders-pro"),
        ("{{slice .Env 4}}", "uction"),
        ("{{ slice .Env }}", "production"),
        ("{{ slice .Env 10 }}x", "x"),
        ("{ {{ .Env }} }", "{ production }"),
    ],
)
def test_rendered(template: str, rendered: str) -> None:
    assert render(template, "production") == rendered


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{ .Name }}", r"found \{\{ .Name \}\}; allowed are"),
        ("{{ Env }}", "found"),
        ("{{ .Env | upper }}", "found"),
        ("{{- .Env }}", "found"),
        ('{{ slice .Env "0" 3 }}', "found"),
        ("{{ slice .Env -1 }}", "found"),
        ("{{ slice .Env 0 3 5 }}", "found"),
        ("{{ printf .Env }}", "found"),
        ("{{}}", "found"),
        ("{{ .Env", "no partner"),
        (".Env }}", "no partner"),
        ("{{ {{ .Env }} }}", "found"),
    ],
)
def test_anything_else_is_refused(template: str, says: str) -> None:
    for refuse in (lambda: render(template, "production"), lambda: check(template)):
        with pytest.raises(PermanentError, match=says) as caught:
            refuse()
        assert caught.value.reason is Reason.INVALID_REQUEST
        assert template in caught.value.message


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("x-{{ slice .Env 0 3 }}", "out of range: ac has 2 characters"),
        ("{{ slice .Env 2 1 }}", "out of range"),
        ("{{ slice .Env 2 }}", "empty in ac"),
    ],
)
def test_what_depends_on_the_environment_is_told_with_it(template: str, says: str) -> None:
    check(template)
    with pytest.raises(PermanentError, match=says):
        render(template, "ac")


@given(ENVIRONMENTS, st.integers(0, 20), st.integers(0, 20))
def test_a_slice_is_a_slice(environment: str, start: int, end: int) -> None:
    template = f"x{{{{ slice .Env {start} {end} }}}}"
    if start <= end <= len(environment):
        assert render(template, environment) == f"x{environment[start:end]}"
    else:
        with pytest.raises(PermanentError):
            render(template, environment)


@given(st.text(max_size=40), ENVIRONMENTS)
def test_text_without_braces_stays_as_it_is(text: str, environment: str) -> None:
    if "{{" not in text and "}}" not in text and text.strip():
        assert render(text, environment) == text
