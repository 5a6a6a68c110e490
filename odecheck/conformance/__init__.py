"""One suite, any solver library: claims on every library × version × method, as a matrix.

libraries.py   which libraries there are, and which versions are asked for
checkout.py    a checkout of a library, as one more release
plan.py        which claims on which problems, by topic
known.py       which row is a known failure, and which known failure is of no row
matrix.py      what is run, and the rows that come of it
render.py      the rows as Markdown, JSON and parquet
find.py        a refuted row, by its id
"""
