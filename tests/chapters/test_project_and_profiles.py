import pytest
from synthetic_book import make_project, write_chapter, write_profiles

from vae_course.chapters.notebooks import ChapterError
from vae_course.chapters.project import (
    default_parameters,
    find_project,
    load_profiles,
    parameters_of,
)


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "course", {"02_second": [], "01_first": [], "10_tenth": []})


def test_chapters_come_in_the_order_of_the_table_of_contents(project):
    assert [c.name for c in project.chapters()] == ["02_second", "01_first", "10_tenth"]


@pytest.mark.parametrize("word", ["1", "01", "01_first", "book/01_first.ipynb"])
def test_a_chapter_answers_to_its_number_and_its_name(project, word):
    assert [c.name for c in project.select([word])] == ["01_first"]


def test_an_unknown_chapter_is_named_with_those_that_there_are(project):
    with pytest.raises(ChapterError, match=r"'7'.*02_second, 01_first, 10_tenth"):
        project.select(["1", "7"])


def test_a_missing_file_in_the_table_of_contents_is_named(project):
    (project.book / "01_first.ipynb").unlink()
    with pytest.raises(ChapterError, match="book/01_first"):
        project.chapters()


def test_the_project_is_found_from_below_and_only_there(project, tmp_path):
    assert find_project(project.book).root == project.root
    with pytest.raises(ChapterError, match="go to the project"):
        find_project(tmp_path)


def test_a_profile_changes_some_parameters_and_injects_its_name(project):
    write_profiles(project, full={"01_first": {"epochs": 9, "lr": 1}})
    profiles = load_profiles(project)
    first = project.select(["1"])[0]
    assert parameters_of(first, profile="full", profiles=profiles) == {
        "profile": "full",
        "epochs": 9,
        "lr": 1,
    }
    assert parameters_of(first, profile="quick", profiles=profiles) == {"profile": "quick"}


@pytest.mark.parametrize(
    ("profiles", "message"),
    [
        ({"full": {"01_first": {"epoch": 9}}}, r"full: 01_first: unknown key 'epoch'.*epochs, lr"),
        ({"smoke": {"01_first": {"profile": "x"}}}, "unknown key 'profile'"),
        (
            {"smoke": {"03_third": {"epochs": 1}}},
            "smoke: 03_third: there is no book/03_third",
        ),
        ({"smoke": {"01_first": {"lr": "1e-3"}}}, "lr is '1e-3', a str, .* 0.1, a float"),
        ({"smoke": {"01_first": 3}}, "expected `parameter: value`"),
        ({"quick": {"01_first": {"epochs": 1}}}, "'quick' is what the parameters cells say"),
        ({"huge": {}}, "exactly the profiles smoke, quick, full"),
    ],
)
def test_what_is_wrong_in_the_profiles_is_named(project, profiles, message):
    write_profiles(project, **profiles)
    with pytest.raises(ChapterError, match=message):
        load_profiles(project)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("epochs = 3", 'must start with profile = "quick"'),
        ('profile = "quick"\nepochs = 3 * x', "only `name = literal`"),
        ('profile = "quick"\nimport os', "line 2 is `import os`"),
        ('profile = "quick', "only `name = literal`"),
    ],
)
def test_what_is_wrong_in_a_parameters_cell_is_named(project, cell, message):
    write_chapter(project, "01_first", parameters=cell)
    with pytest.raises(ChapterError, match=f"01_first.*{message}"):
        default_parameters(project.select(["1"])[0])


def test_parameters_may_be_annotated_and_of_any_literal(project):
    cell = 'profile = "quick"\nepochs: int = -1_000  # why\nsizes = (1, 2.5, None)'
    write_chapter(project, "01_first", parameters=cell)
    assert default_parameters(project.select(["1"])[0]) == {
        "profile": "quick",
        "epochs": -1000,
        "sizes": (1, 2.5, None),
    }


def test_two_chapters_of_one_name_are_refused(project):
    other = project.root / "more"
    other.mkdir()
    (other / "01_first.ipynb").write_bytes((project.book / "01_first.ipynb").read_bytes())
    toc = project.root / "_toc.yml"
    mine = next(line for line in toc.read_text().splitlines() if "01_first" in line)
    toc.write_text(toc.read_text().replace(mine, mine + "\n" + mine.replace("book/", "more/")))
    with pytest.raises(ChapterError, match=r"two notebooks called '01_first'.*rename"):
        project.chapters()


def test_a_name_that_meets_what_is_kept_of_another_is_refused(tmp_path):
    project = make_project(tmp_path / "course", {"01_a": [], "01_a.failed": []})
    with pytest.raises(ChapterError, match=r"'01_a\.failed'.*has no dot.*rename"):
        project.chapters()


def test_a_number_of_many_digits_is_a_name(tmp_path):
    name = "9" * 60 + "_long"
    project = make_project(tmp_path / "course", {name: []})
    assert project.chapters()[0].number is None
    assert [c.name for c in project.select([name])] == [name]
    with pytest.raises(ChapterError, match="no chapter"):
        project.select(["9" * 5000])
