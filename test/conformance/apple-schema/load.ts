import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { amended } from './errata.ts';
import type { AppleSchema, SchemaItem } from './types.ts';

/** Beside the repository: Apple's data is not part of it, and a clone does without. */
const FOLDER = new URL('../../../../shared/apple-schema/', import.meta.url);

let loaded: { readonly schema: AppleSchema | undefined } | undefined;

/** Apple's data, or undefined where its folder is not: said in one line, and never an error, also not in CI. */
export function loadSchema(): AppleSchema | undefined {
  loaded ??= { schema: readSchema() };
  return loaded.schema;
}

/** For the validator itself, which has nothing to say without the data. */
export function schema(): AppleSchema {
  const found = loadSchema();
  if (found === undefined) throw new Error('ask loadSchema() first: Apple’s schema is not beside this repository');
  return found;
}

function readSchema(): AppleSchema | undefined {
  if (!existsSync(FOLDER)) {
    console.warn(`skipped: Apple's schema data is not at ${fileURLToPath(FOLDER)}`);
    return undefined;
  }
  const profiles = itemsOf('profiles');
  const one = (id: string): SchemaItem => {
    const item = profiles.find((candidate) => candidate.id === id);
    if (item === undefined) throw new Error(`profiles.json has no ${id}`);
    return item;
  };
  return {
    checkin: byId(itemsOf('checkin')),
    commands: byId(itemsOf('commands')),
    payloads: byType(profiles),
    topLevel: one('TopLevel'),
    commonPayload: one('CommonPayloadKeys'),
    errors: new Map(itemsOf('errors').map((item) => [codeOf(item), item])),
  };
}

function itemsOf(area: string): readonly SchemaItem[] {
  const file: { readonly count: number; readonly items: readonly SchemaItem[] } = JSON.parse(
    readFileSync(new URL(`${area}.json`, FOLDER), 'utf8'),
  );
  if (file.items.length !== file.count) throw new Error(`${area}.json says ${file.count} and has ${file.items.length}`);
  return file.items.map(amended);
}

function byId(items: readonly SchemaItem[]): ReadonlyMap<string, SchemaItem> {
  const map = new Map(items.map((item) => [item.id ?? item.file, item]));
  if (map.size !== items.length) throw new Error('two items with one id');
  return map;
}

function byType(profiles: readonly SchemaItem[]): ReadonlyMap<string, readonly SchemaItem[]> {
  const groups = new Map<string, SchemaItem[]>();
  for (const item of profiles) {
    if (item.id === undefined || item.id === 'TopLevel' || item.id === 'CommonPayloadKeys') continue;
    groups.set(item.id, [...(groups.get(item.id) ?? []), item]);
  }
  return groups;
}

function codeOf(item: SchemaItem): string {
  const key = item.keys.find((node) => 'key' in node && node.key === 'code');
  return key !== undefined && 'key' in key ? String(key.rangelist?.[0] ?? item.file) : item.file;
}
