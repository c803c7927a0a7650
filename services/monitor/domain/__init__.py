"""What is counted of events, how windows are kept, and when an alert stands. Pure."""
