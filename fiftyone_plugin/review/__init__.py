"""Reviews of mistakes by people: the ledger, the review session, and what follows for fields and weights."""
