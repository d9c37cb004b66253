"""The routes, by what they are about; what they share is in ``serve.state``."""
