import { sql } from 'kysely';
import type { Executor } from './database.ts';

/** Facts of a host as a device or its agent reports them. What a report lacks stays as it is (apple-protocol §2.4). */
export interface ReportedFacts {
  readonly serialNumber?: string | undefined;
  readonly name?: string | undefined;
  readonly model?: string | undefined;
  readonly productName?: string | undefined;
  readonly osVersion?: string | undefined;
  readonly buildVersion?: string | undefined;
}

export interface FactsChange {
  readonly hostId: string;
  /** What OS gates read: the version, or the model, which says what kind of device it is. */
  readonly osChanged: boolean;
}

interface Columns {
  readonly serial_number: string | null;
  readonly name: string;
  readonly model: string;
  readonly product_name: string;
  readonly os_version: string;
  readonly build_version: string;
}

/**
 * Writes only what is new: agents repeat their facts each hour. Undefined where nothing was. Read without a lock first,
 * since a report that says nothing new must not wait for anybody.
 */
export async function recordHostFacts(
  executor: Executor,
  hostId: string,
  facts: ReportedFacts,
  now: Date,
): Promise<FactsChange | undefined> {
  if (!differs((await columns(executor, hostId, sql``))[0], facts)) return undefined;
  const [before] = await columns(executor, hostId, sql`for no key update`);
  if (before === undefined || !differs(before, facts)) return undefined;
  const after = merged(before, facts);
  await sql`
    update host set serial_number = ${after.serial_number}, name = ${after.name}, model = ${after.model},
      product_name = ${after.product_name}, os_version = ${after.os_version}, build_version = ${after.build_version},
      updated_at = ${now}
    where id = ${hostId}
  `.execute(executor);
  const gates = ['os_version', 'model', 'product_name'] as const;
  return { hostId, osChanged: gates.some((name) => before[name] !== after[name]) };
}

async function columns(executor: Executor, hostId: string, lock: ReturnType<typeof sql>): Promise<Columns[]> {
  const { rows } = await sql<Columns>`
    select serial_number, name, model, product_name, os_version, build_version from host where id = ${hostId} ${lock}
  `.execute(executor);
  return rows;
}

function merged(before: Columns, facts: ReportedFacts): Columns {
  return {
    // Once known it stays: a later message could name another Mac's and be taken for it.
    serial_number: before.serial_number ?? facts.serialNumber ?? null,
    name: facts.name ?? before.name,
    model: facts.model ?? before.model,
    product_name: facts.productName ?? before.product_name,
    os_version: facts.osVersion ?? before.os_version,
    build_version: facts.buildVersion ?? before.build_version,
  };
}

function differs(before: Columns | undefined, facts: ReportedFacts): boolean {
  if (before === undefined) return false;
  const after = merged(before, facts);
  return (Object.keys(before) as (keyof Columns)[]).some((name) => before[name] !== after[name]);
}
