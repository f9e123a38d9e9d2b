"""A share of simulated nights or studies, with its Monte-Carlo interval."""


def share(hits: int, of: int) -> dict[str, float]:
    """`rate`, and `low` and `high` of its 95 % interval (Clopper and Pearson 1934).

    Args:
      hits: from 0 to `of`.
      of: at least 1.
    """
    from scipy.special import betaincinv  # noqa: PLC0415 (slow to import)

    low = 0.0 if hits == 0 else float(betaincinv(hits, of - hits + 1, 0.025))
    high = 1.0 if hits == of else float(betaincinv(hits + 1, of - hits, 0.975))
    return {"rate": hits / of, "low": low, "high": high}
