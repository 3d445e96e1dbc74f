"""Webhooks that come in: a request that proves who sent it asks for a pass."""
