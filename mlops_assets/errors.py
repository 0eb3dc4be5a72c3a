"""The errors that a user can meet: what failed, found against required, what to do.

Add here: the base class and errors that several stages raise. Keep out: errors of one stage; they live beside the code that raises them.
"""


class MlopsError(Exception):
    """Base of every error that a person can cause or mend.

    Args:
        what: What failed, and on which object.
        found: What was found, with its values.
        required: The exact predicate that did not hold.
        remedy: What to do next, as a sentence.
    """

    def __init__(self, what: str, *, found: str, required: str, remedy: str) -> None:
        self.what, self.found, self.required, self.remedy = what, found, required, remedy
        super().__init__(f"{what}: found {found}; required {required}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        """Let the error cross processes whole: a subclass is built from fields of its own, not from its message."""
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[MlopsError], args: tuple[object, ...]) -> MlopsError:
    return kind.__new__(kind, *args)
