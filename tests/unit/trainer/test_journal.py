from pathlib import Path

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
