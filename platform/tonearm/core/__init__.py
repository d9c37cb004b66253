"""What every other layer stands on: errors, configs, registries, types, seeds, storage, statistics."""
