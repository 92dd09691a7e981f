"""Plan to findings and predictions: what would break, by what, for how long, and what to do about it."""
