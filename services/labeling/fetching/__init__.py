"""Images for labels exported by hand, also on a schedule."""
