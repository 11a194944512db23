"""Jobs over HTTP as the hub never had them: typed submissions, many at once, listings, cancel, retry, dead letters."""
