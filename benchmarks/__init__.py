"""The figures of this project, measured: `make bench`. They are printed, with a peer's beside them where there is one.

Time decides nothing here: a slow machine is not a broken one.
"""
