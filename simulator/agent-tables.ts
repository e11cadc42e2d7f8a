import type { App } from './apps.ts';
import type { SimulatedMac } from './mac.ts';
import type { Row, Table } from './osquery-sql.ts';
import type { StoredProfile } from './state.ts';

export const OSQUERY_VERSION = '5.13.1';

const PROFILE_COLUMNS = [
  'identifier',
  'install_date',
  'display_name',
  'description',
  'verification_state',
  'uuid',
  'organization',
  'type',
] as const;

export interface TableOptions {
  /** False: osquery without the extension that brings macos_profiles and munki_info. */
  readonly profiles: boolean;
  /** The newer extension's last column. */
  readonly checksum: boolean;
  /** fleetd: `macos_user_profiles` is there too. */
  readonly orbit: boolean;
  /** Tables this osquery was built or started without. */
  readonly without: readonly string[];
}

/** What this Mac's osquery can be asked. `macos_profiles` is computer level only, and told by the Mac's own store. */
export function agentTables(mac: SimulatedMac, options: TableOptions): ReadonlyMap<string, Table> {
  const tables = new Map<string, Table>([
    ['system_info', single(systemInfo(mac), SYSTEM_INTEGERS, () => systemInfo(mac))],
    ['os_version', single(osVersion(mac), ['major', 'minor', 'patch', 'install_date'], () => osVersion(mac))],
    [
      'osquery_info',
      single(osqueryInfo(mac), ['pid', 'config_valid', 'start_time', 'watcher'], () => osqueryInfo(mac)),
    ],
    ['platform_info', single({ vendor: 'Apple Inc.', version: '11881.41.5', date: '10/01/2024', revision: '' })],
    ['apps', { columns: APP_COLUMNS, rows: () => mac.apps.flatMap(appRow) }],
    ['users', { columns: USER_COLUMNS, integers: ['uid', 'gid', 'is_hidden'], rows: () => userRows(mac) }],
    ['disk_encryption', { columns: Object.keys(DISK), integers: ['encrypted'], rows: () => [DISK] }],
    ['managed_policies', { columns: POLICY_COLUMNS, integers: ['manual'], rows: () => policyRows(mac) }],
  ]);
  const columns = options.checksum ? [...PROFILE_COLUMNS, 'payload_checksum'] : [...PROFILE_COLUMNS];
  if (options.profiles) tables.set('macos_profiles', { columns, rows: () => mac.profiles('device').map(profileRow) });
  if (options.profiles) tables.set('munki_info', single(MUNKI));
  if (options.profiles && options.orbit) tables.set('macos_user_profiles', userProfiles(mac));
  for (const name of options.without) tables.delete(name);
  return tables.set('osquery_registry', registry([...tables.keys(), 'osquery_registry']));
}

const single = (row: Row, integers: readonly string[] = [], now = () => row): Table => ({
  columns: Object.keys(row),
  integers,
  rows: () => [now()],
});

function registry(names: readonly string[]): Table {
  const rows = names.map((name) => ({ registry: 'table', name, owner_uuid: '0', internal: '0', active: '1' }));
  const columns = ['registry', 'name', 'owner_uuid', 'internal', 'active'];
  return { columns, integers: ['owner_uuid', 'internal', 'active'], rows: () => rows };
}

/** `profiles -C -o stdout-xml` as the macadmins extension passes it on. */
function profileRow(profile: StoredProfile): Row {
  return {
    identifier: profile.identifier,
    install_date: `${profile.installedAt.slice(0, 19).replace('T', ' ')} +0000`,
    display_name: profile.displayName,
    description: profile.description ?? '',
    verification_state: profile.verification,
    uuid: profile.uuid,
    organization: profile.organization ?? '',
    type: 'Configuration',
    payload_checksum: profile.checksum,
  };
}

/** fleetd runs `profiles -L` for the one user it is asked about, and refuses to be asked about nobody. */
function userProfiles(mac: SimulatedMac): Table {
  const rows = () => {
    const username = mac.managedUser?.shortName ?? '';
    return mac.profiles('user').map((profile) => ({ ...profileRow(profile), username }));
  };
  return { columns: [...PROFILE_COLUMNS, 'username'], requires: 'username', rows };
}

const APP_COLUMNS = [
  'name',
  'path',
  'bundle_executable',
  'bundle_identifier',
  'bundle_name',
  'bundle_short_version',
  'bundle_version',
  'bundle_package_type',
  'display_name',
] as const;

/** A tool without a bundle is no app. */
function appRow({ name, path, bundleIdentifier, shortVersion, version }: App): Row[] {
  if (bundleIdentifier === undefined) return [];
  return [
    {
      name: `${name}.app`,
      path,
      bundle_executable: name,
      bundle_identifier: bundleIdentifier,
      bundle_name: name,
      bundle_short_version: shortVersion,
      bundle_version: version,
      bundle_package_type: 'APPL',
      display_name: name,
    },
  ];
}

const DISK: Row = {
  name: '/dev/disk3s1s1',
  uuid: '',
  encrypted: '0',
  type: '',
  encryption_status: 'not encrypted',
  uid: '',
  user_uuid: '',
  filevault_status: 'off',
};

/** Munki's last run, as the macadmins extension reads it from ManagedInstallReport.plist. */
const MUNKI: Row = {
  console_user: '',
  end_time: '2026-01-05 09:12:44 +0000',
  errors: '',
  manifest_name: 'site_default',
  problem_installs: '',
  start_time: '2026-01-05 09:12:01 +0000',
  success: 'true',
  version: '6.6.3',
  warnings: '',
};

const POLICY_COLUMNS = ['domain', 'uuid', 'name', 'value', 'username', 'manual'] as const;

/** /Library/Managed Preferences, for all users and for the one with a channel. */
function policyRows(mac: SimulatedMac): Row[] {
  const username = mac.managedUser?.shortName ?? '';
  return [
    ...mac.profiles('device').flatMap((profile) => policiesOf(profile, '')),
    ...mac.profiles('user').flatMap((profile) => policiesOf(profile, username)),
  ];
}

const policiesOf = ({ payloads }: StoredProfile, username: string): Row[] =>
  payloads.flatMap(({ type, uuid, settings = {} }) =>
    Object.entries(settings).map(([name, value]) => ({ domain: type, uuid, name, value, username, manual: '0' })),
  );

const USER_COLUMNS = ['uid', 'gid', 'username', 'description', 'directory', 'shell', 'uuid', 'is_hidden'] as const;

function userRows({ managedUser }: SimulatedMac): Row[] {
  const root = user('0', 'root', 'System Administrator', '/var/root', 'FFFFEEEE-DDDD-CCCC-BBBB-AAAA00000000');
  if (managedUser === undefined) return [root];
  const { shortName, longName, userId } = managedUser;
  return [root, user('501', shortName, longName, `/Users/${shortName}`, userId)];
}

const user = (uid: string, username: string, description: string, directory: string, uuid: string): Row => ({
  uid,
  gid: uid === '0' ? '0' : '20',
  username,
  description,
  directory,
  shell: '/bin/zsh',
  uuid,
  is_hidden: '0',
});

const SYSTEM_INTEGERS = ['cpu_physical_cores', 'cpu_logical_cores', 'physical_memory'] as const;

function systemInfo({ identity }: SimulatedMac): Row {
  return {
    hostname: identity.hostName,
    uuid: identity.udid,
    cpu_type: 'arm64e',
    cpu_subtype: 'ARM64E',
    cpu_brand: 'Apple M3',
    cpu_physical_cores: '8',
    cpu_logical_cores: '8',
    physical_memory: '17179869184',
    hardware_vendor: 'Apple Inc.',
    hardware_model: identity.model,
    hardware_version: '1.0',
    hardware_serial: identity.serialNumber,
    computer_name: identity.deviceName,
    local_hostname: identity.hostName.replace(/\.local$/, ''),
  };
}

function osVersion({ identity }: SimulatedMac): Row {
  const [major = '0', minor = '0', patch = '0'] = identity.osVersion.split('.');
  return {
    name: 'macOS',
    version: identity.osVersion,
    major,
    minor,
    patch,
    build: identity.buildVersion,
    platform: 'darwin',
    platform_like: 'darwin',
    codename: '',
    arch: 'arm64',
    extra: '',
  };
}

const osqueryInfo = ({ identity }: SimulatedMac): Row => ({
  pid: '512',
  uuid: identity.udid,
  instance_id: identity.udid.toLowerCase(),
  version: OSQUERY_VERSION,
  config_hash: '',
  config_valid: '1',
  extensions: 'active',
  build_platform: 'darwin',
  build_distro: '10.14',
  start_time: '0',
  watcher: '511',
});
