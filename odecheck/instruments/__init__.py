"""One counter of each thing: evaluations, steps, bytes alive, bytes saved. Nothing is patched."""
