"""A fleet on one machine: a real Chef server and real nodes, for the demo and the tests."""
