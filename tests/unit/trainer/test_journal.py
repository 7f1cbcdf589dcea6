import errno
import io
import os
from pathlib import Path
from typing import NoReturn

import pytest

from handful_trainer.tracking.journal import Journal


def test_entries_come_back_in_order_until_they_are_marked(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for number in range(5):
        journal.append({"number": number})
    (_, _), (_, second) = list(journal.unsent(limit=2))
    journal.mark(second)
    assert [entry["number"] for entry, _ in journal.unsent(limit=10)] == [2, 3, 4]
    assert not journal.empty


def test_a_second_process_finds_what_the_first_could_not_send(tmp_path: Path) -> None:
    first = Journal(tmp_path / "journal.jsonl")
    first.append({"number": 1})
    first.append({"number": 2})
    (_, position), _ = list(first.unsent(limit=2))
    first.mark(position)
    second = Journal(tmp_path / "journal.jsonl")
    assert [entry["number"] for entry, _ in second.unsent(limit=10)] == [2]


def test_a_line_torn_by_a_kill_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).append({"number": 1})
    with path.open("a") as file:
        file.write('{"numb')
    journal = Journal(path)
    journal.append({"number": 2})
    assert [entry["number"] for entry, _ in journal.unsent(limit=10)] == [1, 2]


def test_an_entry_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    with path.open("a") as file:
        file.write('{"number": 1}')
    assert list(journal.unsent(limit=10)) == []


def test_a_mark_beyond_what_a_power_cut_left_hides_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    for number in range(3):
        first.append({"number": number})
    first.mark(path.stat().st_size)
    os.truncate(path, path.stat().st_size - 20)  # In the middle of the second line.
    second = Journal(path)
    assert second.empty
    second.append({"number": 3})
    second.append({"number": 4})
    assert [entry["number"] for entry, _ in second.unsent(limit=10)] == [3, 4]


@pytest.mark.parametrize("mark", ["", "16"])
def test_a_mark_that_is_damaged_sends_more_rather_than_less(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    first.append({"number": 1})
    first.append({"number": 2})
    path.with_name("journal.jsonl.sent").write_text(mark)
    assert [entry["number"] for entry, _ in Journal(path).unsent(limit=10)] == ([2] if mark else [1, 2])


class FullDisk(io.TextIOWrapper):
    """Takes half of a line."""

    def write(self, text: str) -> NoReturn:
        super().write(text[: len(text) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_of_an_entry_for_which_the_disk_has_no_room_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append({"number": 1})
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda self, *_, **__: FullDisk(open(self, "ab")))  # noqa: PTH123, SIM115
        with pytest.raises(OSError, match="No space left"):
            journal.append({"number": 2})
    journal.append({"number": 3})
    assert [entry["number"] for entry, _ in journal.unsent(limit=10)] == [1, 3]


def test_a_damaged_line_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"number": 1}\n{"numb{"number": 2}\n\0\0\xff\n{"number": 3}\n')
    assert [entry for entry, _ in Journal(path).unsent(limit=10)] == [{"number": 1}, {}, {}, {"number": 3}]
    assert "a damaged line" in caplog.text
