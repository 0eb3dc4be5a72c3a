"""What a rebuild found: every input of then and now, every output of then and now, and one sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class Compared:
    """One input or output.

    Attributes:
        recorded: What it was when the model was saved; None: nobody recorded it.
        present: What it is now; None: it is not there.
    """

    name: str
    recorded: str | None
    present: str | None

    @property
    def differs(self) -> bool:
        return self.recorded is not None and self.recorded != self.present

    def __str__(self) -> str:
        return f"{self.name} (recorded {self.recorded or 'nothing'}, present {self.present or 'nothing'})"


@dataclass(frozen=True)
class Rebuilt:
    """The answer.

    Attributes:
        artefact: Which model of its run was registered: `candidate` or `refit`.
        training_set: How the rows came about.
        rows: How many they were, each scored by both models.
        inputs: In the order in which a difference is to be looked for.
        outputs: Hashes of files and of scores; empty if the model could not be fitted again.
    """

    model: str
    version: int
    artefact: str
    training_set: str
    rows: int
    inputs: Sequence[Compared]
    outputs: Sequence[Compared] = field(default_factory=tuple)

    @property
    def is_identical(self) -> bool:
        return bool(self.outputs) and not any(one.differs for one in self.outputs)

    @property
    def hashes(self) -> dict[str, str]:
        """Hashes of what came out the same."""
        return {one.name: str(one.recorded) for one in self.outputs if not one.differs}

    @property
    def not_recorded(self) -> list[str]:
        return [one.name for one in self.inputs if one.recorded is None]

    @property
    def sentence(self) -> str:
        """Say it in one sentence: identical, or the first thing that differs."""
        who = f"{self.model}@{self.version}"
        other = [one for one in self.inputs if one.differs]
        if self.is_identical:
            beside = (
                f"; it does not depend on what differs by now: {', '.join(one.name for one in other)}" if other else ""
            )
            return f"{who}: identical, bit for bit, and so are its scores of {self.rows:,} rows{beside}."
        if other:
            return f"{who}: differs. The first input that differs: {other[0]}."
        files = ", ".join(one.name for one in self.outputs if one.differs)
        unknown = f" that was recorded (not recorded: {', '.join(self.not_recorded)})" if self.not_recorded else ""
        return f"{who}: differs. Identical in every input{unknown}, but different outputs: {files}."
