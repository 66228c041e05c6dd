"""What finished runs show of their minima: curvature, surface, robustness; in one page."""
