"""Reads pages: bytes in, Page out, pure. `choose` is the door."""
