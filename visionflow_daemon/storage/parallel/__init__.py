"""The parallel run: two databases of any shape, old or ours, compared by what they say."""
