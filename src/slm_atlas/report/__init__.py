"""What a reader sees: figures, tables and the one-file page."""
