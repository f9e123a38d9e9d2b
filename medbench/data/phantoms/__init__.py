"""Generated images of the three domains: deterministic, marked as generated, never medicine."""
