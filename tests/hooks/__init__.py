"""Tests of what tells programs and webhooks how passes end."""
