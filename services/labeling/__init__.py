"""The Label Studio round trip: predictions out, annotations back, training sets."""
