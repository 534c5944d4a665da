-- Tickets: single use, for an EventSource that can carry neither header nor cookie (docs/decisions/0005-tickets.md).

-- Unspent tickets. What is kept is the SHA-256 of one, so that who reads this table can open no stream.
create table orderstream.tickets (
    digest         bytea primary key check (length(digest) = 32),
    user_id        text not null,
    session_id     text not null,             -- the login that asked for it, and that a revocation ends
    jwt_expires_at double precision not null, -- seconds since 1970, as in the JWT: its stream ends then
    expires_at     timestamptz not null
);

-- How many one user has, the oldest first.
create index tickets_by_user on orderstream.tickets (user_id, expires_at);
-- What retention looks for.
create index tickets_by_end on orderstream.tickets (expires_at);
