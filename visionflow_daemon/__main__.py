"""Lets `python -m visionflow_daemon` do what the console script does."""

from visionflow_daemon.cli.main import main

if __name__ == "__main__":
    main()
