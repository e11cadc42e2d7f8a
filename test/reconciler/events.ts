/** What can happen in a history, as data: fast-check makes it, shrinks it and prints it. */
import fc from 'fast-check';
import type { IncludeMode } from '../../reconciler/types.ts';
import type { Fault } from '../support/faulty-sessions.ts';
import { type Agent, BEHAVIOURS, type Truth } from './sim-mac.ts';

export const TEAMS = 2;
export const MACS = 3;
export const LABELS = 4;
export const NAMES = 3;
export const REPLICAS = 2;
const DAY = 86_400_000;

/** A label of this place, on whichever kind it was made. */
const label = fc.nat(LABELS - 1);
const some = fc.subarray([0, 1, 2, 3], { maxLength: 3 });
const mac = fc.nat(MACS - 1);
const replica = fc.nat(REPLICAS - 1);
const channel = fc.constantFrom('device' as const, 'device' as const, 'user' as const);
const bound = fc.constantFrom(undefined, undefined, undefined, '14', '15.1', '15');

const EVENTS = {
  upload: {
    weight: 6,
    with: {
      team: fc.nat(TEAMS - 1),
      name: fc.nat(NAMES - 1),
      channel,
      /** The same content again is the same version: an older one comes back so. */
      content: fc.nat(3),
      mode: fc.constantFrom<IncludeMode>('none', 'any', 'all'),
      include: some,
      exclude: fc.oneof({ weight: 2, arbitrary: fc.constant<number[]>([]) }, some),
      minOs: bound,
      maxOs: bound,
    },
  },
  delete: { weight: 1, with: { which: fc.nat(5) } },
  'make label': {
    weight: 2,
    with: {
      label,
      sort: fc.constantFrom('manual' as const, 'dynamic' as const, 'dynamic' as const, 'host_vitals' as const),
    },
  },
  'edit label': { weight: 1, with: { label } },
  'delete label': { weight: 1, with: { label, detach: fc.boolean() } },
  'label hosts': { weight: 2, with: { label, macs: fc.subarray([0, 1, 2]) } },
  truth: { weight: 4, with: { mac, label, truth: fc.constantFrom<Truth>('yes', 'yes', 'no', 'error') } },
  agent: { weight: 6, with: { mac } },
  'agent becomes': { weight: 1, with: { mac, agent: fc.constantFrom<Agent>('none', 'no table', 'full') } },
  move: { weight: 1, with: { mac, team: fc.nat(TEAMS - 1) } },
  poll: { weight: 12, with: { mac, channel, behaviour: fc.constantFrom(...BEHAVIOURS, 'obeys', 'obeys', 'obeys') } },
  'answers again': { weight: 2, with: { mac, which: fc.nat(10) } },
  'taken away': { weight: 1, with: { mac, channel, which: fc.nat(3) } },
  'put back': { weight: 1, with: { mac, channel, which: fc.nat(10), managed: fc.boolean() } },
  'foreign profile': { weight: 1, with: { mac, channel } },
  login: { weight: 1, with: { mac } },
  'new token': { weight: 1, with: { mac, channel } },
  'enrols again': { weight: 1, with: { mac, erased: fc.boolean() } },
  'checks out': { weight: 1, with: { mac } },
  'new system': { weight: 1, with: { mac, os: fc.constantFrom('14.6', '15.1.2', '26.0') } },
  tick: { weight: 8, with: {} },
  jobs: { weight: 2, with: {} },
  restart: { weight: 1, with: {} },
  time: { weight: 5, with: { ms: fc.constantFrom(500, 2000, 45_000, 200_000, DAY) } },
} as const;

type Kind = keyof typeof EVENTS;
type Of<K extends Kind> = { readonly kind: K } & {
  readonly [Field in keyof (typeof EVENTS)[K]['with']]: (typeof EVENTS)[K]['with'][Field] extends fc.Arbitrary<
    infer Value
  >
    ? Value
    : never;
};
export type Event = { readonly [K in Kind]: Of<K> }[Kind];

export interface Happening {
  readonly event: Event;
  /** Which server process it reaches. */
  readonly replica: number;
  /** What strikes the database meanwhile. */
  readonly fault: Fault | undefined;
}

const fault: fc.Arbitrary<Fault | undefined> = fc.oneof(
  { weight: 12, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.record({
      at: fc.constant('statement' as const),
      after: fc.nat(12),
      times: fc.constantFrom(1, 2, 2),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Fault>({ at: 'before commit' }) },
  { weight: 1, arbitrary: fc.constant<Fault>({ at: 'after commit' }) },
);

const event = fc.oneof(
  ...Object.entries(EVENTS).map(([kind, { weight, with: fields }]) => ({
    weight,
    arbitrary: fc.record({ kind: fc.constant(kind), ...fields }) as fc.Arbitrary<unknown> as fc.Arbitrary<Event>,
  })),
);

export const happening: fc.Arbitrary<Happening> = fc.record({ event, replica, fault });

/** Events of one history. */
export const history = fc.array(happening, { minLength: 8, maxLength: 40, size: 'max' });

/** One line per event, for a failure. */
export function told(happenings: readonly Happening[]): string {
  return happenings
    .map(({ event: { kind, ...fields }, replica: at, fault: strikes }, index) => {
      const what = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
      return `${index}. [${at}] ${kind} ${what.join(' ')}${strikes === undefined ? '' : ` ! ${JSON.stringify(strikes)}`}`;
    })
    .join('\n');
}
