"""The served application on Ray Serve: typed settings, plain workers, one place where they are composed."""
