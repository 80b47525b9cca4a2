"""Label Studio as the rest of labeling sees it: the protocol, its access, its connection."""
