import type { EnrollmentRef } from '../core/enrollment.ts';
import type { ManagedUser } from './ports.ts';

const NAME = /^espalier_user_profiles_([1-9]\d{0,14})$/;

/** What macOS lets an account be called. Anything else is never asked about: the name becomes part of a query. */
const SHORT_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,254}$/;

/** One query an agent is asked, by its name. */
export interface NamedQuery {
  readonly name: string;
  readonly sql: string;
  readonly discovery: string;
}

/**
 * `macos_user_profiles` is fleetd's own and answers for exactly one user, named by equality; its rows need not repeat
 * the name. So each user channel is a query of its own, and the query's name says whose the rows are.
 */
export function userProfilesQuery({ enrollment, shortName }: ManagedUser): NamedQuery | undefined {
  if (!SHORT_NAME.test(shortName)) return undefined;
  return {
    name: `espalier_user_profiles_${enrollment}`,
    sql: `SELECT * FROM macos_user_profiles WHERE username = '${shortName}'`,
    discovery:
      "SELECT 1 FROM osquery_registry WHERE active = true AND registry = 'table' AND name = 'macos_user_profiles'",
  };
}

/** The user channel that a query's name speaks of. */
export function userOf(name: string): EnrollmentRef | undefined {
  const match = NAME.exec(name);
  return match === null ? undefined : Number(match[1]);
}
