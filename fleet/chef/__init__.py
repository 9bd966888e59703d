"""The Chef server: settings, signing, requests, search, cookbooks."""
