"""What others are told of the work: who runs the service, who watches it, and who looks at its page."""
