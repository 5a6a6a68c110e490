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


def test_a_changed_line_is_told_and_its_neighbours_are_read(tmp_path):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    for n in range(5):
        journal.add({"n": n, "name": f"row {n}"})
    journal.close()
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        read = Journal(path)
        good = [e for e in read.entries if e == {"n": e.get("n"), "name": f"row {e.get('n')}"}]
        # of a checksum without its name nothing else is known than that there is none
        assert len(good) == len(read.entries) or not read.checked
        assert len(good) >= 3 and (len(good) == 5 or read.damaged or not read.checked)


def test_lines_without_checksums_are_read_and_known(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text('{"n": 1}\n')
    assert Journal(path).entries == [{"n": 1}] and not Journal(path).checked
    path.write_text("[" * 100_000 + '\n3\n["x"]\n')
    assert len(Journal(path).damaged) == 3 and Journal(path).entries == []
