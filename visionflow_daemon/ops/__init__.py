"""What others are told of the work: who runs the service, and who watches it."""
