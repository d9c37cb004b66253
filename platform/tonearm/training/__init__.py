"""Training: one config, one loop, one bundle. No Ray, no MLflow."""
