"""Entries, jobs, processes, costs and finished runs, which comparisons and searches share."""
