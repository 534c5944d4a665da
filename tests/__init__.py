"""A package of that name, since a library of ours installs one too."""
