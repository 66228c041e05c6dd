"""Full rankings, ranks of test items, and statistics of their metrics."""
