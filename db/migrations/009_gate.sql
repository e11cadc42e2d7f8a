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

-- TargetDeviceType, where the profile names one.
alter table profile_version add column target_device_type int;

create index profile_moved on profile (moved_from_slot_id) where moved_from_slot_id is not null and deleted_at is null;

-- Lists and counts of what failed, without reading what did not. next_at changes with the state: no update is dearer for it.
create index op_failed on op (slot_id, enrollment_id) where state = 'failed';

create index certificate_quarantined on certificate (enrollment_id) where standing = 'quarantined';
