"""From what a user types to records: targets, validation, cases, limits, processes."""
