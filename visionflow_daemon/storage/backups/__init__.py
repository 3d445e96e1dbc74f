"""Backups of a database: taken while others write, kept in a folder, and put back."""
