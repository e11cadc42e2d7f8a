-- What a deleted label was called: a deleted profile may still aim by it, and whoever restores that must be told the name.
create table gone_label (
  id         int primary key,
  name       text not null,
  deleted_at timestamptz not null
);
