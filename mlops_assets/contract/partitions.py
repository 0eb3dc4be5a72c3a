"""How a table is cut into windows of time: the declaration, and its windows under Dagster's partition keys."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mlops_assets.errors import MlopsError
from mlops_assets.lake.windows import Window

KEY_FORMAT = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m-%d"}
STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


class NoLastWindow(MlopsError):
    """The windows of an open-ended table were asked for without saying until when."""

    def __init__(self, start: date) -> None:
        super().__init__(
            f"Windows from {start}",
            found="neither `end` nor a time to stop at",
            required="one of them",
            remedy="Give `until`, or write `end:` in the partitions.",
        )


class UnknownWindow(MlopsError):
    """A window was named that the partitions do not have."""

    def __init__(self, key: str, spec: "PartitionsSpec") -> None:
        nearby = "" if spec.end is None else f" and before {spec.end}"
        super().__init__(
            f"Window {key!r}",
            found="no window of that name",
            required=f"the start of a {spec.every} from {spec.start} on{nearby}, written as {spec.start:{KEY_FORMAT[spec.every]}}",
            remedy="Correct the key.",
        )


class PartitionsSpec(BaseModel):
    """Windows of time into which a source's tables are cut, in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Literal["hour", "day", "week", "month"] = Field(description="Length of a window; a week starts on Sunday.")
    column: str = Field(description="Column that says to which window a row belongs.", examples=["time_hour"])
    start: date = Field(description="First day of the first window.", examples=["2012-12-30"])
    end: date | None = Field(default=None, description="First day after the last window; none: it goes on.")

    @model_validator(mode="after")
    def _on_boundaries(self) -> "PartitionsSpec":
        for name, day in (("start", self.start), ("end", self.end)):
            if day is not None and _boundary_before(day, self.every) != day:
                earlier = _boundary_before(day, self.every)
                later = _boundary_before(earlier + timedelta(days=31 if self.every == "month" else 7), self.every)
                rule = "the first of a month" if self.every == "month" else "a Sunday"
                raise ValueError(f"{name} {day} ({day:%A}) must be {rule}; the nearest are {earlier} and {later}")
        if self.end is not None and self.end <= self.start:
            raise ValueError(f"end {self.end} must be after start {self.start}")
        return self

    def windows(self, until: datetime | None = None) -> list[Window]:
        """Return the windows that are over at `until` and at the declared end, oldest first.

        Raises:
            NoLastWindow: Neither is given.
        """
        ends = [*([_midnight(self.end)] if self.end else []), *([until] if until else [])]
        if not ends:
            raise NoLastWindow(self.start)
        spans = takewhile(lambda span: span[1] <= min(ends), pairwise(self._boundaries()))
        return [Window(f"{start:{KEY_FORMAT[self.every]}}", start, end) for start, end in spans]

    def window(self, key: str) -> Window:
        """Return the window of a key.

        Raises:
            UnknownWindow: There is none.
        """
        for start, end in pairwise(self._boundaries()):
            found = f"{start:{KEY_FORMAT[self.every]}}"
            if found == key and (self.end is None or end <= _midnight(self.end)):
                return Window(key, start, end)
            if found >= key:
                break
        raise UnknownWindow(key, self)

    def _boundaries(self) -> Iterator[datetime]:
        at = _midnight(self.start)
        while True:
            yield at
            at = _next_month(at) if self.every == "month" else at + STEP[self.every]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _next_month(at: datetime) -> datetime:
    return at.replace(year=at.year + at.month // 12, month=at.month % 12 + 1)


def _boundary_before(day: date, every: str) -> date:
    if every == "week":
        return day - timedelta(days=day.isoweekday() % 7)
    return day.replace(day=1) if every == "month" else day
