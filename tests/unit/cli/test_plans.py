"""Plans for people."""

from agentd.cli.plans import plan_lines
from agentd.core import Action, FieldChange, Plan, PlannedChange


def lines_of(*changes: PlannedChange) -> list[str]:
    """The lines of a plan with these changes, without the hash."""
    plan = Plan()
    for change in changes:
        plan.record(change)
    *lines, digest = plan_lines(plan.json())
    assert digest == plan.json()["hash"]
    return lines


def test_a_plan_reads_as_a_diff() -> None:
    assert lines_of(
        PlannedChange("kubernetes:namespace/dev", Action.CREATE, (FieldChange("spec.finalizers", None, ["x"]),)),
        PlannedChange(
            "ecr:repository/a",
            Action.CHANGE,
            (FieldChange("lifecycle.untagged_days", 7, 14), FieldChange("access.push", None, ["1"])),
        ),
        PlannedChange("iam:role/dev", Action.DELETE),
    ) == [
        "+ create kubernetes:namespace/dev",
        '    spec.finalizers: ["x"]',
        "~ change ecr:repository/a",
        '    access.push: (none) -> ["1"]',
        "    lifecycle.untagged_days: 7 -> 14",
        "- delete iam:role/dev",
        "",
        "1 to create, 1 to change, 1 to delete",
    ]


def test_nothing_to_do_is_said() -> None:
    assert lines_of() == ["nothing to do"]


def test_long_values_stand_below_each_other() -> None:
    long = "x" * 80
    assert lines_of(PlannedChange("a", Action.CHANGE, (FieldChange("b", long, long + "y"),)))[:4] == [
        "~ change a",
        "    b:",
        f'      - "{long}"',
        f'      + "{long}y"',
    ]


def test_no_value_plays_tricks_on_a_terminal() -> None:
    tricks = ("\x1b[2Kgone", "\x9b2K", "\u202eback", "two\nlines")
    changes = [
        PlannedChange(str(index), Action.CHANGE, (FieldChange("b", 1, text),)) for index, text in enumerate(tricks)
    ]
    lines = lines_of(*changes)
    assert len(lines) == 2 * len(tricks) + 2
    assert all(line.isprintable() for line in lines)
    assert '    b: 1 -> "zwölf"' in lines_of(PlannedChange("a", Action.CHANGE, (FieldChange("b", 1, "zwölf"),)))
