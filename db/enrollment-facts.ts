import { sql } from 'kysely';
import type { Database } from './database.ts';

/** Live enrolments whose Macs wait for pushes of another topic. */
export async function enrolledOnOtherTopic(db: Database, topic: string): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from enrollment where state = 'enrolled' and topic <> ${topic}
  `.execute(db.read);
  return rows[0]?.count ?? 0;
}

/** PUBLIC_URL stands in every installed enrolment profile: the one that live enrolments were made with, if any. */
export async function enrolledServerUrl(db: Database): Promise<string | undefined> {
  const { rows } = await sql<{ url: string | null }>`
    select frozen ->> 'ServerURL' as url from enrollment where state = 'enrolled' and channel = 'device' limit 1
  `.execute(db.read);
  return rows[0]?.url ?? undefined;
}
