"""Configurations onto routers: a diff first, a confirmation from outside the change, and a way back without us."""
