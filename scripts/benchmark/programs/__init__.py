"""Programs that run as processes of their own: the writers and the peers' servers."""
