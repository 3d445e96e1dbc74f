"""The running daemon: a loop that runs passes, and what wakes it."""
