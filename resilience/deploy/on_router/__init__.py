"""What is installed on a router; README.md says how. There it is on its own: nothing in here imports the library."""
