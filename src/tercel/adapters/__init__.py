"""One folder per outside thing. Each passes the contract suite of its port; none knows another."""
