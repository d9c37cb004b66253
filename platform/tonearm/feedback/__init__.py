"""What listeners did with what they were shown: kept in a database, one row an event. SQLAlchemy and NumPy alone."""
