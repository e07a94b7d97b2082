"""Files that runs leave behind: the store contract, digests, atomic put."""
