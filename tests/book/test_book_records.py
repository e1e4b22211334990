"""The recorded runs: of the code as it stands, and bearing out what the text says."""

from dataclasses import replace

import pytest
from places import ROOT

from vae_course.chapters.project import Chapter, Project
from vae_course.chapters.records import Harvest, Record, read_record
from vae_course.chapters.review import compare, doubts, false_alarm, recorded_key
from vae_course.chapters.spread import FEWEST

PROJECT = Project(ROOT)
ALPHA = false_alarm(PROJECT, profile="quick")
CHAPTERS = pytest.mark.parametrize("chapter", PROJECT.chapters(), ids=lambda chapter: chapter.name)


def record_of(chapter: Chapter) -> Record:
    return read_record(PROJECT.record(chapter, profile="quick"))


@CHAPTERS
def test_a_record_is_of_the_code_and_the_parameters_as_they_stand(chapter: Chapter) -> None:
    record = record_of(chapter)
    stale = f"stale: vae-course sweep {chapter.name}"
    assert record.key == recorded_key(PROJECT, chapter, profile="quick"), stale
    assert record.runs
    text = PROJECT.record(chapter, profile="quick").read_text(encoding="utf-8")
    assert '"/' not in text, "a path of a machine"


@CHAPTERS
def test_the_text_says_what_nine_of_ten_recorded_runs_bear_out(chapter: Chapter) -> None:
    record = record_of(chapter)
    assert doubts(Harvest(says=dict(record.says)), record) == []


@CHAPTERS
def test_a_run_left_out_is_not_called_wrong_by_the_others(chapter: Chapter) -> None:
    """Over the recorded books the rate of false alarms is not above what is said."""
    record = record_of(chapter)
    for index, run in enumerate(record.runs if len(record.runs) > FEWEST else ()):
        others = [each for at, each in enumerate(record.runs) if at != index]
        made = Harvest(dict(run.values), dict(record.says))
        left_out = compare(made, replace(record, runs=others), alpha=ALPHA)
        assert not left_out.drift, (run.seed, left_out.drift)
        assert not left_out.refuted, (run.seed, left_out.refuted)
