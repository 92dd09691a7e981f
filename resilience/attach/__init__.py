"""Drills on a running lab of containerlab that somebody else wrote: no intent, nothing of ours inside its containers.

`topology.py` reads the stranger's topology file, `document.py` and `drill_file.py` the file that says what is measured
and what fails; `survey.py` looks at the running containers; `planning.py` makes a plan of the three, as far as one is
needed to break and to measure; `lab.py` is the lab; `record.py` and `watchdog.py` see to it that everything is healed,
whatever happens to us.
"""
