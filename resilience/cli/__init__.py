"""The command line: parse, call, report, exit code. Nothing is decided here that a library user would miss."""
