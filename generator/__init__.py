"""Advisory -> artefact: what is affected, and the cookbook that ends it. Knows no network and no node."""
