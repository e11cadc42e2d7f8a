-- What is known of contents beyond the PayloadUUID, only for enrolments whose agent says more: a host that is asked by
-- ProfileList alone, or whose agent has no payload_checksum and holds no preference payload, has no row.
create table recon_evidence (
  enrollment_id  bigint primary key references enrollment (id) on delete cascade,
  -- Build the baselines were taken on: another build or another version starts another baseline.
  os_build       text        not null default '',
  -- Versions with a baseline, ascending, and the first 64 bits of each one's checksum, eight octets each in that order.
  version_ids    int[]       not null default '{}',
  checksums      bytea       not null default '',
  -- Versions whose checksum is not their baseline's any more: changed on the device.
  changed_ids    int[]       not null default '{}',
  changed_at     timestamptz,
  -- When managed_policies answered last, and for which versions every expected key was among them.
  policies_at    timestamptz,
  effective_ids  int[]       not null default '{}',
  -- [{"version": id, "missing": ["domain key", …], "more": count}], bounded.
  ineffective    jsonb       not null default '[]'
) with (fillfactor = 75);

create index recon_evidence_changed on recon_evidence (enrollment_id) where changed_ids <> '{}';

-- Pages of drift read only who has some. Written when the drift of an enrolment changes, so not by an hourly report.
create index recon_drift on recon (enrollment_id) where observed_extra <> '[]';
