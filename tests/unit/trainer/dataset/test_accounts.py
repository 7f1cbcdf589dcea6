"""Sums that do not balance stop a source, and so does a kind of which nothing can be used."""

from __future__ import annotations

import pytest

from handful_core.errors import DataError
from handful_trainer.dataset.accounts import LEFT_BY_SYSTEM, Books, check_used


@pytest.mark.parametrize(("used", "words"), [(2, "1 are not accounted for"), (4, "1 are counted twice")])
def test_what_was_found_and_neither_used_nor_left_out_is_a_defect(used: int, words: str) -> None:
    books = Books()
    books.find("label files", 4)
    books.use("label files", used)
    books.leave_out("label files", "without an image", "a.txt")
    with pytest.raises(DataError, match=f"of 4 label files {words}: this is a defect of Handful"):
        books.close()


def test_what_balances_is_told_with_its_first_names() -> None:
    books = Books()
    books.find("label files", 6)
    books.use("label files")
    for number in range(5):
        books.leave_out("label files", "without an image", f"{number}.txt", "name it like its image")
    (account,) = books.close()
    assert list(account.warnings()) == [
        "5 of 6 label files without an image (0.txt, 1.txt, 2.txt and 2 more): name it like its image"
    ]


def test_nothing_of_a_kind_is_refused_with_the_commonest_reason_first() -> None:
    books = Books()
    books.find("images", 3)
    books.leave_out("images", "empty", "a")
    books.leave_out("images", "pending", "b")
    books.leave_out("images", "pending", "c")
    line = r"none of the 3 images can be used: 2 pending \(b, c\); 1 empty \(a\): accept them"
    with pytest.raises(DataError, match=line):
        check_used(books.close(), {"pending": "accept them"})


def test_what_systems_leave_alone_is_no_reason_to_refuse() -> None:
    books = Books()
    books.find("label files")
    books.leave_out("label files", LEFT_BY_SYSTEM, "._a.txt")
    check_used(books.close())
