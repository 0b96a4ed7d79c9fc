"""Evidence for or against a label error, one column of log-likelihood ratios per kind."""
