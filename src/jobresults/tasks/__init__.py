"""The tasks that ship; of `jobresults` they import only the public face, as anyone's own would."""
