import fc from 'fast-check';
import { joinPath } from '../../../plist/limits.ts';
import { type PlistDict, type PlistValue, Real } from '../../../plist/types.ts';
import { isRequired, obstacle } from './applicability.ts';
import type { Context, KeyType, SchemaKey, SchemaNode } from './types.ts';

/** Values drawn from Apple's data itself: what the data describes, the validator must let pass. */

/** A recursive layout is followed no further than this many containers. */
const MAX_DEPTH = 8;

export interface Place {
  /** From the top: dictionary keys and array indexes. */
  readonly steps: readonly (string | number)[];
  readonly path: string;
  readonly key: SchemaKey;
  readonly required: boolean;
}

export interface Sample {
  readonly dict: PlistDict;
  /** Every key that stands in the sample, so that a mutation knows what to break. */
  readonly places: readonly Place[];
}

interface Drawn<Value> {
  readonly value: Value;
  readonly inside: readonly Place[];
}
type Keyed = readonly [SchemaKey, Drawn<PlistValue>];

/** A dictionary with every required key and some of the optional ones, valid for such a device. */
export function sampleOf(nodes: readonly SchemaNode[], context: Context): fc.Arbitrary<Sample> {
  return dictOf(nodes, { context, trail: [], depth: 0 }).map(({ value, inside }) => ({ dict: value, places: inside }));
}

interface Here {
  readonly context: Context;
  /** What a recursive layout counts in; going up a level cuts it, so it does not bound the depth. */
  readonly trail: readonly SchemaKey[];
  readonly depth: number;
}

function dictOf(nodes: readonly SchemaNode[], here: Here): fc.Arbitrary<Drawn<PlistDict>> {
  const { context } = here;
  const usable = nodes
    .filter((node): node is SchemaKey => 'key' in node && node.key !== 'ANY')
    .filter((key) => obstacle(key.os?.[context.os], context) === undefined);
  const entries = usable.map((key) => {
    const whole = drawnOf(key, here).map((drawn): Keyed | undefined => [key, drawn]);
    return isRequired(key, context) ? whole : fc.option(whole, { nil: undefined, freq: 2 });
  });
  return fc.tuple(...entries).map((drawn) => {
    const present = drawn.filter((entry) => entry !== undefined);
    return {
      value: new Map(present.map(([key, { value }]) => [key.key, value])),
      inside: present.flatMap(([key, { inside }]) => [
        { steps: [key.key], path: key.key, key, required: isRequired(key, context) },
        ...inside.map((place) => under(key.key, place)),
      ]),
    };
  });
}

function under(step: string | number, place: Place): Place {
  const steps = [step, ...place.steps];
  return { ...place, steps, path: steps.reduce<string>((path, each) => joinPath(path, each), '') };
}

function drawnOf(key: SchemaKey, here: Here): fc.Arbitrary<Drawn<PlistValue>> {
  const inside = { ...here, trail: [...here.trail, key], depth: here.depth + 1 };
  if (key.type === 'dictionary') return dictOf(key.subkeys ?? [], inside);
  if (key.type === 'array') return arrayOf(key.subkeys ?? [], inside);
  return scalarOf(key, here.context).map((value) => ({ value, inside: [] }));
}

function arrayOf(nodes: readonly SchemaNode[], here: Here): fc.Arbitrary<Drawn<PlistValue>> {
  const { context, trail, depth } = here;
  const usable = nodes.flatMap((node) => {
    const level = 'key' in node ? trail.length : trail.length - node.depth;
    const key = 'key' in node ? node : trail[level];
    if (key === undefined || obstacle(key.os?.[context.os], context) !== undefined) return [];
    // Built only when drawn, else a recursive layout would be built for ever.
    const item = (): fc.Arbitrary<Drawn<PlistValue>> => drawnOf(key, { context, trail: trail.slice(0, level), depth });
    return ['key' in node ? item() : fc.constant(undefined).chain(item)];
  });
  const first = nodes.find((node) => 'key' in node);
  const { min = 0, max = 2 } = first?.repetition ?? {};
  if (usable.length === 0 || depth > MAX_DEPTH) return fc.constant({ value: [], inside: [] });
  return fc.array(fc.oneof(...usable), { minLength: min, maxLength: max }).map((items) => ({
    value: items.map((item) => item.value),
    inside: items.flatMap((item, index) => item.inside.map((place) => under(index, place))),
  }));
}

function scalarOf(key: SchemaKey, context: Context): fc.Arbitrary<PlistValue> {
  const values = (key.subkeys ?? []).filter(
    (node): node is SchemaKey => 'key' in node && obstacle(node.os?.[context.os], context) === undefined,
  );
  if (values.length > 0) return fc.constantFrom(...values.map((node) => node.key));
  if (key.rangelist !== undefined && key.rangelist.length > 0) {
    const listed = fc
      .constantFrom(...key.rangelist)
      .map((value): PlistValue => (key.type === 'real' ? new Real(Number(value)) : value));
    return key.range === undefined ? listed : fc.oneof(listed, anyOf(key.type, key.range));
  }
  if (key.format !== undefined) return fc.stringMatching(new RegExp(key.format));
  if (key.subtype === '<url>') return fc.webUrl();
  if (key.subtype === '<hostname>') return fc.domain();
  return anyOf(key.type, key.range);
}

/** Any value of a type; `any` is drawn as a string. */
export function anyOf(type: KeyType, range: SchemaKey['range'] = {}): fc.Arbitrary<PlistValue> {
  const { min = -1000, max = Math.max(1_000_000, min) } = range;
  switch (type) {
    case 'integer':
      return fc.integer({ min, max });
    case 'real':
      return fc.double({ min, max, noNaN: true }).map((value) => new Real(value));
    case 'boolean':
      return fc.boolean();
    case 'date':
      return fc.constant(new Date('2024-10-21T00:00:00Z'));
    case 'data':
      return fc.uint8Array({ maxLength: 4 });
    case 'array':
      return fc.constant([]);
    case 'dictionary':
      return fc.constant(new Map());
    default:
      return fc.string({ minLength: 1, maxLength: 8 });
  }
}

/** The sample with one place replaced, or removed where `value` is undefined. */
export function changed(
  value: PlistValue,
  steps: readonly (string | number)[],
  to: PlistValue | undefined,
): PlistValue {
  const [step, ...rest] = steps;
  if (step === undefined) return to ?? value;
  if (Array.isArray(value)) {
    return value.map((item, index) => (index === step ? changed(item, rest, to) : item));
  }
  const entries = [...(value as PlistDict)];
  if (rest.length === 0 && to === undefined) return new Map(entries.filter(([key]) => key !== step));
  return new Map(entries.map(([key, item]) => [key, key === step ? changed(item, rest, to) : item]));
}
