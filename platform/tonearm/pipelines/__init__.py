"""Work on many recordings at once, on Ray Data. Workers write their own files and return a row a track."""
