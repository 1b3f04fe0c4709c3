"""DAGs to copy from; each says what it needs."""
