"""MLflow, and nothing else that knows MLflow: one writer, names, queries, and the logged model's code."""
