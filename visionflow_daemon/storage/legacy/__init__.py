"""Adopts the databases of older VisionFlow programs, and gives them back."""
