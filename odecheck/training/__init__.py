"""Training a model on a task, step by step, with what it costs: loop, rows, run folders, optimizers."""
