"""A run being written: both stores together, its lease, its context, its end."""
