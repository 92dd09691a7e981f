"""The program on a router; `program.py` says what it does. On a router it is one file, an archive of these modules."""
