"""What comparisons and searches share: entries, jobs, processes, costs and finished runs."""
