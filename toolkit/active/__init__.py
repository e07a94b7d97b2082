"""The run that a script is inside of: the log verbs and the decorators."""
