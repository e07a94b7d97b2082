"""The pages that people look at: HTML made here, of what the API's own functions return."""
