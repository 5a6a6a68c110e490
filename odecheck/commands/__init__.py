"""The commands: one file each, its heavy imports inside the function."""
