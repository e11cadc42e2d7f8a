import type { Clock, Ids } from '../core/clock.ts';
import { EspalierError } from '../core/errors.ts';
import { labelNotFound } from '../core/label-not-found.ts';
import type { Tx, UnitOfWork } from '../core/tx.ts';
import { labelDetails } from './label-standing.ts';
import type { HostQuery, HostStore, WakeAfter } from './ports.ts';
import type { Hardware, Host, HostFacts, LabelDetail } from './types.ts';

export interface InventoryDeps {
  readonly store: HostStore;
  readonly unitOfWork: UnitOfWork;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly wakeAfter: WakeAfter;
}

export interface HostPage {
  readonly hosts: readonly Host[];
  /** Give it back as `after` for the next page; undefined at the end. */
  readonly next: string | undefined;
}

export interface Inventory {
  /** Errors: team_not_found, label_not_found. */
  page(query: HostQuery): Promise<HostPage>;
  /** In the order of the ids; one that is gone is left out. */
  byIds(ids: readonly string[]): Promise<readonly Host[]>;
  /** Errors: host_not_found. */
  get(ref: string): Promise<Host>;
  /** Labels that the host has or that are not known of it, by name. */
  labels(host: Host): Promise<readonly LabelDetail[]>;
  /** Errors: host_not_found, team_not_found. */
  moveToTeam(ref: string, teamId: number): Promise<void>;
  /** The host with this hardware, made in this team where there is none: for agents that come before MDM does. */
  findOrCreate(tx: Tx, hardware: Hardware, teamId: number): Promise<FoundHost>;
}

export interface FoundHost {
  readonly hostId: string;
  readonly made: boolean;
}

export function createInventory(deps: InventoryDeps): Inventory {
  const { store, unitOfWork, clock, ids, wakeAfter } = deps;

  async function get(ref: string): Promise<Host> {
    const host = await store.find(ref);
    if (host === undefined) {
      throw new EspalierError('host_not_found', `no host, or more than one, is meant by ${JSON.stringify(ref)}`, {
        fix: 'Name it by id, serial number or UDID.',
      });
    }
    return host;
  }

  /** A misspelt filter must not look like an empty team. */
  async function refuseUnknown(query: HostQuery): Promise<void> {
    const unknown = await store.unknownFilter(query);
    if (unknown === undefined) return;
    if (unknown === 'label') throw labelNotFound(query.label ?? '', await store.labelNames());
    throw new EspalierError(`${unknown}_not_found`, `there is no ${unknown} named ${JSON.stringify(query[unknown])}`);
  }

  return {
    async page(query) {
      const hosts = await store.list({ ...query, limit: query.limit + 1 });
      if (hosts.length === 0) await refuseUnknown(query);
      const page = hosts.slice(0, query.limit);
      return { hosts: page, next: hosts.length > query.limit ? page.at(-1)?.id : undefined };
    },
    async byIds(ids) {
      const all = { team: undefined, label: undefined, text: undefined, after: undefined };
      const found = new Map((await store.list({ ...all, ids, limit: ids.length })).map((host) => [host.id, host]));
      return ids.flatMap((id) => found.get(id) ?? []);
    },
    get,
    async labels(host) {
      const { labels, labelEpoch } = await store.labels(host.id);
      return labelDetails(labels, labelEpoch, factsOf(host));
    },
    async moveToTeam(ref, teamId) {
      const { id } = await get(ref);
      await unitOfWork.run(async (tx) => {
        const missing = await store.moveToTeam(tx, id, teamId, clock.now());
        if (missing === 'host') throw new EspalierError('host_not_found', `host ${id} is gone`);
        if (missing === 'team') throw new EspalierError('team_not_found', 'the team has just been deleted');
        wakeAfter(tx);
      });
    },
    async findOrCreate(tx, hardware, teamId) {
      const known = await store.match(tx, hardware);
      if (known !== undefined) return { hostId: known, made: false };
      await store.lockHardware(tx, hardware);
      const meanwhile = await store.match(tx, hardware);
      if (meanwhile !== undefined) return { hostId: meanwhile, made: false };
      const hostId = ids.uuid();
      await store.insert(tx, hostId, hardware, teamId, clock.now());
      return { hostId, made: true };
    },
  };
}

function factsOf(host: Host): HostFacts {
  return {
    os_version: host.osVersion,
    build_version: host.buildVersion,
    model: host.model,
    product_name: host.productName,
    name: host.name,
    serial_number: host.serialNumber ?? '',
  };
}
