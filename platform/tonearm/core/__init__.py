"""Shared by all other packages: errors, configs, registries, types, seeds, storage, progress."""
