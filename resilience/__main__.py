"""`python -m resilience` is the command `resilience`."""

from resilience.cli.app import main

if __name__ == "__main__":
    main()
