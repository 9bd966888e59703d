"""What distributions publish of a CVE, as rows of an advisory: a module a feed, and a merge that keeps who said it."""
