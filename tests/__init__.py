"""All that is tested; a package, because a library that we install brings one of the same name."""
