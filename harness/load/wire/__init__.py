"""The two protocols as a client hears them, turned into `News`. Pure: bytes and objects in, news out."""
