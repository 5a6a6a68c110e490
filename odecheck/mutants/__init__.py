"""Deliberately wrong subjects, by the kind of mistake; each is made from a right subject."""
