"""One file per outside carrier, behind the protocol in `carrier`."""
