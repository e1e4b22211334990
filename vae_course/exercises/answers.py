"""`check`: say whether an answer to an exercise is right, and if not, what to look at."""

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

State = Literal["open", "right", "wrong"]
Checker = Callable[[Any], str]

_SIGNS: dict[State, str] = {"open": "○", "right": "✓", "wrong": "✗"}
_CHECKERS: dict[str, Checker] = {}


class WrongAnswerError(Exception):
    """An answer was turned down; the message is a hint for the student."""


@dataclass(frozen=True)
class Verdict:
    """What `check` found.

    Attributes:
        exercise: its number, `"5.1"`.
        state: `"open"` (not attempted), `"right"` or `"wrong"`.
        message: what to be pleased about, or a hint.
    """

    exercise: str
    state: State
    message: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        plain = f"{_SIGNS[self.state]} Exercise {self.exercise}: {self.message}"
        html = f'<p class="vae-verdict vae-{self.state}">{escape(plain)}</p>'
        return {"text/plain": plain, "text/html": html}


def exercise(number: str) -> Callable[[Checker], Checker]:
    """Register the checker of an exercise.

    A checker takes the answer and returns a sentence when it is right; it raises
    `WrongAnswerError` with a hint when it is not.
    """

    def register(checker: Checker) -> Checker:
        if number in _CHECKERS:
            raise ValueError(f"exercise {number} has two checkers")
        _CHECKERS[number] = checker
        return checker

    return register


def registered() -> dict[str, Checker]:
    """Return every checker by its exercise's number."""
    return dict(_CHECKERS)


def check(number: str, answer: Any) -> Verdict:
    """Look at an answer by what it does: its statistics, gradients and identities.

    Args:
        number: of the exercise, `"5.1"`.
        answer: what the exercise asks for, a function or a number. The untouched blank (`None`,
            `...`, or a function that returns one of these) is "not attempted yet".

    Raises:
        KeyError: there is no exercise of this number.
    """
    if number not in _CHECKERS:
        raise KeyError(f"no exercise {number!r}; there are {', '.join(sorted(_CHECKERS))}")
    if _is_blank(answer):
        return Verdict(number, "open", "not attempted yet")
    try:
        return Verdict(number, "right", _CHECKERS[number](_not_blank(answer)))
    except BlankAnswerError:
        return Verdict(number, "open", "not attempted yet")
    except WrongAnswerError as hint:
        return Verdict(number, "wrong", str(hint))
    except Exception as error:
        # The student's own code failed: its error is the most useful hint there is.
        return Verdict(number, "wrong", f"your code raised {type(error).__name__}: {error}")


class BlankAnswerError(Exception):
    """The student's function still returns the blank."""


def _is_blank(value: Any) -> bool:
    return value is None or value is ...


def _not_blank(answer: Any) -> Any:
    """Wrap a function so that a blank result is told apart from a wrong one."""
    if not callable(answer):
        return answer

    def guarded(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if _is_blank(result):
            raise BlankAnswerError
        return result

    return guarded
