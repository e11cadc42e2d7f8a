/**
 * What an agent is asked. `SELECT *`: the columns differ between the macadmins extension and fleetd, and the ones that
 * come are read (design §4). Discovery asks osquery_registry, never the table itself: a failing discovery query aborts
 * the whole batch, and once one query has discovery, every query needs an entry.
 */
export const QUERIES = {
  espalier_profiles: {
    sql: 'SELECT * FROM macos_profiles',
    discovery: "SELECT 1 FROM osquery_registry WHERE active = true AND registry = 'table' AND name = 'macos_profiles'",
  },
  espalier_tables: {
    sql: "SELECT name FROM osquery_registry WHERE active = true AND registry = 'table' AND name IN ('macos_profiles', 'macos_user_profiles')",
    discovery: 'SELECT 1',
  },
  /** Which build a report was made on: checksums of another build are another baseline. */
  espalier_build: { sql: 'SELECT build FROM os_version', discovery: 'SELECT 1' },
  /** What holds for every user of the Mac. All of it, since a key that was not asked for would look missing; values stay there. */
  espalier_policies: {
    sql: "SELECT domain, name FROM managed_policies WHERE username = '' AND manual = 0",
    discovery:
      "SELECT 1 FROM osquery_registry WHERE active = true AND registry = 'table' AND name = 'managed_policies'",
  },
  espalier_system: { sql: 'SELECT * FROM system_info', discovery: 'SELECT 1' },
  espalier_os: { sql: 'SELECT * FROM os_version', discovery: 'SELECT 1' },
} as const;

export type QueryName = keyof typeof QUERIES;

/** Asked whenever evidence about profiles is wanted. */
export const PROFILE_QUERIES: readonly QueryName[] = ['espalier_tables', 'espalier_profiles', 'espalier_build'];
/** Asked hourly with jitter. */
export const DETAIL_QUERIES: readonly QueryName[] = ['espalier_system', 'espalier_os', 'espalier_policies'];
