-- Which deliveries are open on which process, for the list that a user is shown, and which sessions were ended by hand.

-- A process that serves; one that has not been seen for a while is gone, and what it had open with it. Not logged, as
-- deliveries are not: after a crash of the server each process finds its row gone, and writes all of it again.
create unlogged table orderstream.nodes (
    id      uuid primary key,
    seen_at timestamptz not null
) with (fillfactor = 50);

create unlogged table orderstream.deliveries (
    node_id    uuid not null,    -- no foreign key: it would be checked row by row, ten thousand times at a restart
    number     bigint not null,  -- the node's own
    user_id    text not null,
    session_id text not null,
    transport  text not null,    -- sse | poll
    platform   text not null,    -- mobile | web | other
    address    text,             -- a network: /24 or /48
    opened_at  timestamptz not null,
    cursor     text,             -- the last one sent; the only column that is updated
    primary key (node_id, number)
) with (fillfactor = 80);
-- Serves GET /v1/sessions.
create index deliveries_by_user on orderstream.deliveries (user_id);

-- Sessions that are refused until no JWT of theirs can be in force any more.
create table orderstream.revocations (
    id         bigint generated always as identity unique, -- what a notification names; reading at a start goes by it
    user_id    text not null,
    session_id text not null,
    ended_by   text not null default '',     -- the session that asked for it
    was_open   boolean not null default true, -- somewhere, when it was ended; others may be made up, and are bounded
    revoked_at timestamptz not null default clock_timestamp(),
    kept_until timestamptz not null,
    primary key (user_id, session_id)
);
-- What retention looks for.
create index revocations_by_end on orderstream.revocations (kept_until);
