"""Studies: what is measured, not proven. Each writes a table and a picture; pictures need the extra `figures`."""
