"""The configuration: one TOML file, overridden by the environment, then by the command line; checked as a whole."""
