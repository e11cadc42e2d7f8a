import type { SimulatedMac } from './mac.ts';
import type { Row, Table } from './osquery-sql.ts';

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
  /** False: osquery without the extension that brings macos_profiles. */
  readonly profiles: boolean;
  /** The newer extension's last column. */
  readonly checksum: boolean;
}

/** What this Mac's osquery can be asked. `macos_profiles` is computer level only, and told by the Mac's own store. */
export function agentTables(mac: SimulatedMac, options: TableOptions): ReadonlyMap<string, Table> {
  const tables = new Map<string, Table>([
    ['system_info', single(systemInfo(mac))],
    ['os_version', single(osVersion(mac))],
    ['osquery_info', single(osqueryInfo(mac))],
    ['platform_info', single({ vendor: 'Apple Inc.', version: '11881.41.5', date: '10/01/2024', revision: '' })],
  ]);
  if (options.profiles) {
    const columns = options.checksum ? [...PROFILE_COLUMNS, 'payload_checksum'] : [...PROFILE_COLUMNS];
    tables.set('macos_profiles', { columns, rows: () => profileRows(mac) });
  }
  const names = [...tables.keys(), 'osquery_registry'];
  const columns = ['registry', 'name', 'owner_uuid', 'internal', 'active'];
  const rows = names.map((name) => ({ registry: 'table', name, owner_uuid: '0', internal: '0', active: '1' }));
  return tables.set('osquery_registry', { columns, rows: () => rows });
}

const single = (row: Row): Table => ({ columns: Object.keys(row), rows: () => [row] });

/** `profiles -C -o stdout-xml` as the macadmins extension passes it on. */
function profileRows(mac: SimulatedMac): Row[] {
  return mac.profiles('device').map((profile) => ({
    identifier: profile.identifier,
    install_date: `${profile.installedAt.slice(0, 19).replace('T', ' ')} +0000`,
    display_name: profile.displayName,
    description: profile.description ?? '',
    verification_state: profile.verification,
    uuid: profile.uuid,
    organization: profile.organization ?? '',
    type: 'Configuration',
    payload_checksum: profile.checksum,
  }));
}

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
