"""The course as `make course` builds it: a quarter of an hour on two cores."""

from pathlib import Path

import pytest
from commands import process
from pages import OpenedPage
from tools import needs_browser

MEGABYTES = 15
"""that the page may have"""


@needs_browser
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_course_is_trained_and_its_page_is_sound(driver: object, tmp_path: Path) -> None:
    done = process("dataset=sample", cwd=tmp_path, module="course.command", timeout=3500)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (tmp_path / "outputs/course/index.html").read_text(encoding="utf-8")
    assert len(html.encode()) < MEGABYTES * 1e6
    OpenedPage(driver, html, tmp_path / "index.html").check_sound()
    again = process("dataset=sample", cwd=tmp_path, module="course.command", timeout=900)
    assert again.stdout.startswith("0 of "), "what is finished is kept"
