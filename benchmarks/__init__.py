"""How fast, against whom: ``make bench`` prints one table of ratios, both sides timed in the same minute."""
