from collections.abc import Iterator

import pytest

from vae_course.exercises import check, registered
from vae_course.exercises.answers import _CHECKERS, WrongAnswerError, exercise


@pytest.fixture(autouse=True)
def doubling() -> Iterator[None]:
    """Register an exercise: write a function that doubles."""
    before = dict(_CHECKERS)

    @exercise("0.1")
    def double(answer: object) -> str:
        if answer(21) != 42:
            raise WrongAnswerError("try 21: is it <42>?")
        return "it doubles"

    @exercise("0.2")
    def number(answer: float) -> str:
        if answer != 3:
            raise WrongAnswerError("count again")
        return "three"

    yield
    _CHECKERS.clear()
    _CHECKERS.update(before)


def test_a_right_answer_is_right() -> None:
    assert check("0.1", lambda x: 2 * x).state == "right"
    assert check("0.2", 3).message == "three"


def test_a_wrong_answer_gets_its_hint() -> None:
    verdict = check("0.1", lambda x: x + 2)
    assert (verdict.state, verdict.message) == ("wrong", "try 21: is it <42>?")
    assert check("0.2", 4).state == "wrong"


@pytest.mark.parametrize("blank", [None, ..., lambda x: None, lambda x: ...])
def test_a_blank_is_not_attempted_yet(blank: object) -> None:
    verdict = check("0.1", blank)
    assert (verdict.state, verdict.message) == ("open", "not attempted yet")


def test_zero_and_false_are_answers() -> None:
    assert check("0.2", 0).state == "wrong"
    assert check("0.1", lambda x: 0).state == "wrong"


def test_code_that_raises_is_wrong_and_says_how() -> None:
    verdict = check("0.1", lambda x: x.shape)
    assert verdict.state == "wrong"
    assert "AttributeError: 'int' object has no attribute 'shape'" in verdict.message


def test_an_exercise_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(KeyError, match=r"99\.9.*0\.1, 0\.2"):
        check("99.9", None)


def test_two_checkers_of_one_exercise_are_refused() -> None:
    with pytest.raises(ValueError, match=r"exercise 0\.1 has two checkers"):
        exercise("0.1")(lambda answer: "")


def test_what_is_registered_is_given_as_a_copy() -> None:
    registered().clear()
    assert {"0.1", "0.2"} <= set(registered())


def test_a_verdict_is_shown_escaped() -> None:
    bundle = check("0.1", lambda x: 0)._repr_mimebundle_()
    assert bundle["text/plain"] == "✗ Exercise 0.1: try 21: is it <42>?"
    assert bundle["text/html"] == (
        '<p class="vae-verdict vae-wrong">✗ Exercise 0.1: try 21: is it &lt;42&gt;?</p>'
    )
