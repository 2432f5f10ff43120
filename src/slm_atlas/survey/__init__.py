"""The survey again, and continued: what small language models are built and trained like, period by period."""
