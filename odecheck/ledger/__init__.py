"""One row for each claim of the papers, with the verdict that drawn problems give it."""
