"""Everything that is wrong with what an event asks for, found before anything is written, and told at once."""

from dataclasses import dataclass, field

from agentd.core import NotReady, PermanentError, Reason


@dataclass(slots=True)
class Problems:
    """Collected in the order in which they are found. What never mends by itself outweighs what is only not there yet."""

    lasting: list[tuple[Reason, str]] = field(default_factory=list)
    passing: list[str] = field(default_factory=list)

    def add(self, reason: Reason, message: str) -> None:
        """Something that somebody has to mend."""
        self.lasting.append((reason, message))

    def wait_for(self, condition: str) -> None:
        """Something that may come by itself."""
        self.passing.append(condition)

    def __bool__(self) -> bool:
        return bool(self.lasting or self.passing)

    def raise_any(self) -> None:
        """Raise PermanentError with the first lasting one's reason, or NotReady; all of them are in the message."""
        messages = [*(message for _, message in self.lasting), *self.passing]
        if self.lasting:
            raise PermanentError(self.lasting[0][0], "; ".join(messages))
        if messages:
            raise NotReady("; ".join(messages))
