"""Records on disk and for other programs: the run folder, summaries, stories, exports."""
