"""The journal: what was whole is kept, what was cut off is said."""

from odecheck.records.journal import Journal


def test_a_journal_gives_what_was_whole_and_says_what_was_not(tmp_path):
    journal = Journal(tmp_path / "new" / "j.jsonl")
    for n in range(3):
        journal.add({"n": n})
        assert [one["n"] for one in Journal(journal.path).entries] == list(range(n + 1))  # written at once
    journal.close()
    with journal.path.open("a") as file:
        file.write('{"n": 3, "mo')
    again = Journal(journal.path)
    assert [one["n"] for one in again.entries] == [0, 1, 2] and "line 4: cut off after 12 bytes" in again.damaged[0]
    again.add({"n": 4})
    assert [one["n"] for one in Journal(journal.path).entries] == [0, 1, 2, 4]
    again.rewrite([{"n": 5}])
    again.add({"n": 6})
    assert [one["n"] for one in Journal(journal.path).entries] == [5, 6]
    again.remove()
    assert not journal.path.exists() and not Journal(journal.path).entries
