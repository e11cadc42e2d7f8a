-- What kind of device: Authenticate's ProductName, or the hardware model that an agent reports. '' = not said, or not known.
alter table host add column platform text not null generated always as (
  case
    when product_name || ' ' || model ~* '(^| )(iphone|ipod)' then 'iphone'
    when product_name || ' ' || model ~* '(^| )ipad' then 'ipad'
    when product_name || ' ' || model ~* '(^| )apple ?tv' then 'tv'
    when product_name || ' ' || model ~* '(^| )(realitydevice|apple vision)' then 'vision'
    when product_name || ' ' || model ~* '(^| )(apple )?watch' then 'watch'
    when product_name || ' ' || model ~* '(^| )(i?mac|virtualmac)' then 'mac'
    else ''
  end
) stored;

-- What a version asks of a device: its PayloadTypes, and TargetDeviceType where it names one.
alter table profile_version add column payload_types text[] not null default '{}';
alter table profile_version add column target_device_type int;

-- The profile's slot before its PayloadScope changed: what is there goes first, then this is installed (design §4).
alter table profile add column if not exists moved_from_slot_id int references slot (id);
create index if not exists profile_moved on profile (moved_from_slot_id) where moved_from_slot_id is not null and deleted_at is null;

-- Lists and counts of what failed, without reading what did not. next_at changes with the state: no update is dearer for it.
create index op_failed on op (slot_id, enrollment_id) where state = 'failed';

create index certificate_quarantined on certificate (enrollment_id) where standing = 'quarantined';
