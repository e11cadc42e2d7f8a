-- What decides a host-vitals label. While `filled` is false no host's membership is known; `fill_after` is the last host
-- that the filling has seen.
alter table label add column vitals     jsonb;
alter table label add column filled     boolean not null default true;
alter table label add column fill_after uuid;

alter table label_member add column since timestamptz not null default now();

-- What is known of a host's labels besides its members; no row = no label with a query was ever evaluated there.
create table host_label (
  host_id           uuid primary key references host (id) on delete cascade,
  -- Dynamic labels with an epoch up to this one have been evaluated here, or stand among the unknown ones.
  label_epoch       bigint      not null default 0,
  unknown_label_ids int[]       not null default '{}',
  -- Members whose query has said "no" lately, and how often in a row: they leave when that is confirmed.
  leaving_label_ids int[]       not null default '{}',
  leaving_counts    int[]       not null default '{}',
  -- Label id → what its query failed with.
  errors            jsonb       not null default '{}',
  -- When the query was asked whose answer was counted last: a report that comes twice counts once.
  asked_at          timestamptz,
  evaluated_at      timestamptz,
  -- The agent is to be asked before its turn, by whichever replica it polls.
  ask_soon          boolean     not null default false
) with (fillfactor = 75);
create index host_label_soon on host_label (host_id) where ask_soon;

-- Whoever makes a host locks its hardware first, so that an agent and MDM cannot make two of one new Mac.
create table host_identity (
  hardware_uuid text primary key
);

alter table team add column deleted_at timestamptz;
-- Where its hosts went; always a live team, so that whoever still comes with an old link lands somewhere.
alter table team add column moved_to int references team (id);
alter table team drop constraint team_name_key;
create unique index team_live on team (name) where deleted_at is null;
