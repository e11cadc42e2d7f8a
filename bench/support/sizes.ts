/** What a settled host takes on disk: whole tables with their indexes and TOAST, after a VACUUM. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Result } from './result.ts';

/** By what a host brings with it; what is the same for all hosts (profiles, bodies) is not counted. */
const TABLES = {
  recon: ['recon', 'recon_evidence', 'op', 'recon_queue', 'recon_wave'],
  labels: ['host_label', 'label_member'],
  host: ['host', 'enrollment', 'enrollment_seen'],
} as const;

export async function bytesPerHost(db: Database, hosts: number): Promise<Result['values']> {
  const { rows } = await sql<{ name: string; bytes: number }>`
    select relname as name, pg_total_relation_size(oid) as bytes from pg_class
    where relname = any(${sql.val(Object.values(TABLES).flat())}::text[]) and relkind = 'r'
  `.execute(db.read);
  const of = (names: readonly string[]) =>
    Math.round(rows.filter(({ name }) => names.includes(name)).reduce((sum, { bytes }) => sum + bytes, 0) / hosts);
  return {
    hosts,
    reconBytesPerHost: of(TABLES.recon),
    labelBytesPerHost: of(TABLES.labels),
    hostBytesPerHost: of(TABLES.host),
  };
}
