"""Training that logs itself: `toolkit.autolog()` watches the libraries, one module each, over one small base."""
