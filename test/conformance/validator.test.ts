import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PlistDict, PlistValue } from '../../plist/types.ts';
import { obstacle } from './apple-schema/applicability.ts';
import { type Context, type Finding, loadSchema, MAC, type Rule } from './apple-schema/index.ts';
import { anyOf, changed, type Place, type Sample, sampleOf } from './apple-schema/sample.ts';
import type { KeyType, SchemaItem, SchemaKey, SchemaNode } from './apple-schema/types.ts';
import { hasType } from './apple-schema/values.ts';
import { walkKeys } from './apple-schema/walk.ts';

const schema = loadSchema();

const CONTEXTS: readonly Context[] = [
  MAC,
  { ...MAC, channel: 'user' },
  { ...MAC, enrollment: 'ade', version: '13.0' },
  { ...MAC, enrollment: 'user' },
  { os: 'iOS', version: '18.1', channel: 'user', enrollment: 'shared-ipad' },
];

interface Area {
  readonly name: string;
  readonly nodes: readonly SchemaNode[];
}

const areasOf = (items: Iterable<SchemaItem>): readonly Area[] =>
  [...items].flatMap((item) => [
    { name: item.file, nodes: item.keys },
    ...(item.response === undefined ? [] : [{ name: `${item.file} (response)`, nodes: item.response }]),
  ]);

const areas: readonly Area[] =
  schema === undefined
    ? []
    : areasOf([
        ...schema.checkin.values(),
        ...schema.commands.values(),
        ...[...schema.payloads.values()].flat(),
        schema.topLevel,
        schema.commonPayload,
        ...schema.errors.values(),
      ]);

const errorsOf = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter((finding) => finding.severity === 'error');

const saysAt = (dict: PlistValue, area: Area, context: Context, place: Place, rule: Rule): boolean =>
  walkKeys(dict as PlistDict, area.nodes, context).some(
    (finding) => finding.path === place.path && finding.rule === rule && finding.severity === 'error',
  );

interface Case {
  readonly area: Area;
  readonly context: Context;
  readonly sample: Sample;
}

/** Building one costs more than drawing from it. */
const samples = new Map<string, fc.Arbitrary<Sample>>();
function samplesOf(area: Area, context: Context): fc.Arbitrary<Sample> {
  const name = `${area.name} ${JSON.stringify(context)}`;
  const found = samples.get(name) ?? sampleOf(area.nodes, context);
  samples.set(name, found);
  return found;
}

interface Pair {
  readonly area: Area;
  readonly context: Context;
}

const PAIRS: readonly Pair[] = areas.flatMap((area) => CONTEXTS.map((context) => ({ area, context })));

function has(nodes: readonly SchemaNode[], context: Context, fits: (key: SchemaKey) => boolean): boolean {
  return nodes.some(
    (node) =>
      'key' in node &&
      obstacle(node.os?.[context.os], context) === undefined &&
      (fits(node) || has(node.subkeys ?? [], context, fits)),
  );
}

function casesIn(pairs: readonly Pair[]): fc.Arbitrary<Case> {
  // Without the data these tests are skipped, and still collected.
  const [first = { area: { name: 'none', nodes: [] }, context: MAC }, ...rest] = pairs;
  return fc
    .constantFrom(first, ...rest)
    .chain(({ area, context }) => samplesOf(area, context).map((sample) => ({ area, context, sample })));
}

/**
 * A case with one of its places that fits. Unbiased: a bias to the first pair may never draw one that does. A setting's
 * `Item` chooses its layout, so a wrong one is said of the whole dictionary and not of it.
 */
const caseWith = (suits: (key: SchemaKey) => boolean, required = false): fc.Arbitrary<Case & { place: Place }> => {
  const fits = (key: SchemaKey): boolean => key.key !== 'Item' && suits(key);
  return fc
    .noBias(casesIn(PAIRS.filter(({ area, context }) => has(area.nodes, context, fits))))
    .map((drawn) => ({
      ...drawn,
      places: drawn.sample.places.filter((place) => fits(place.key) && (place.required || !required)),
    }))
    .filter(({ places }) => places.length > 0)
    .chain((drawn) => fc.constantFrom(...drawn.places).map((place) => ({ ...drawn, place })));
};

const RUNS = { numRuns: 200 };

describe.skipIf(schema === undefined)('the validator, over Apple’s data', () => {
  test('reads what its notice counts', () => {
    expect(schema?.checkin.size).toBe(8);
    expect(schema?.commands.size).toBe(66);
    expect([...(schema?.payloads.values() ?? [])].flat().length + 2).toBe(128);
  });

  test.each(areas)('$name: what the data describes gives no finding', (area) => {
    for (const context of CONTEXTS) {
      fc.assert(
        fc.property(samplesOf(area, context), ({ dict }) => {
          const findings = walkKeys(dict, area.nodes, context);
          expect(findings.filter(({ rule }) => rule !== 'deprecated' && rule !== 'enrollment')).toEqual([]);
          expect(errorsOf(findings)).toEqual([]);
        }),
        { numRuns: 8 },
      );
    }
  });

  test('a required key that is gone is missed at its place', () => {
    fc.assert(
      fc.property(
        caseWith((key) => key.presence === 'required', true),
        ({ area, context, sample, place }) =>
          saysAt(changed(sample.dict, place.steps, undefined), area, context, place, 'missing-key'),
      ),
      RUNS,
    );
  });

  test('a value of another type is found at its place', () => {
    const types: readonly KeyType[] = ['string', 'integer', 'boolean', 'date', 'data', 'array', 'dictionary'];
    fc.assert(
      fc.property(
        caseWith((key) => key.type !== 'any' && key.alternatives === undefined).chain((drawn) =>
          fc
            .constantFrom(...types)
            .chain((type) => anyOf(type))
            .filter((value) => !hasType(value, drawn.place.key.type))
            .map((value) => ({ ...drawn, value })),
        ),
        ({ area, context, sample, place, value }) =>
          saysAt(changed(sample.dict, place.steps, value), area, context, place, 'type'),
      ),
      RUNS,
    );
  });

  test('a value outside of its list is found', () => {
    fc.assert(
      fc.property(
        caseWith((key) => key.rangelist !== undefined && key.range === undefined),
        ({ area, context, sample, place }) => {
          const wrong = place.key.type === 'string' ? 'not in any list' : -98765;
          return saysAt(changed(sample.dict, place.steps, wrong), area, context, place, 'rangelist');
        },
      ),
      RUNS,
    );
  });

  test('a value out of its range is found', () => {
    fc.assert(
      fc.property(
        caseWith((key) => key.range !== undefined && key.type === 'integer').chain((drawn) => {
          const { min = -1000, max } = drawn.place.key.range ?? {};
          const above = max === undefined ? [] : [max + 1];
          return fc.constantFrom(min - 2, ...above).map((value) => ({ ...drawn, value }));
        }),
        ({ area, context, sample, place, value }) =>
          saysAt(changed(sample.dict, place.steps, value), area, context, place, 'range'),
      ),
      { numRuns: 50 },
    );
  });

  test('a key nobody knows is a warning, and only where no ANY stands', () => {
    fc.assert(
      fc.property(casesIn(PAIRS), ({ area, context, sample }) => {
        const found = walkKeys(new Map([...sample.dict, ['No Such Key', 'x']]), area.nodes, context);
        const open = area.nodes.some((node) => 'key' in node && node.key === 'ANY');
        expect(found.filter(({ rule }) => rule === 'unknown-key')).toEqual(
          open ? [] : [expect.objectContaining({ path: 'No Such Key', severity: 'warning' })],
        );
      }),
      RUNS,
    );
  });

  test('a key that such a device does not have is found, with the reason', () => {
    const absent = areas.flatMap((area) =>
      CONTEXTS.flatMap((context) =>
        area.nodes
          .filter((node): node is SchemaKey => 'key' in node && node.key !== 'ANY')
          .flatMap((key) => {
            const why = obstacle(key.os?.[context.os], context);
            return why === undefined ? [] : [{ area, context, key, why }];
          }),
      ),
    );
    expect(absent.length).toBeGreaterThan(100);
    for (const { area, context, key, why } of absent) {
      const findings = walkKeys(new Map([[key.key, 'anything']]), area.nodes, context);
      const found = findings.filter(({ path }) => path === key.key);
      expect(found, `${area.name} ${key.key}`).toEqual([
        expect.objectContaining({ rule: why.rule, severity: 'error' }),
      ]);
    }
  });
});
