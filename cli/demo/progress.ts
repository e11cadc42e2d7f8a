import type { MacEvent } from '../../simulator/events.ts';

/** The way of a Mac, in order; each step counts the Macs that have been there. */
const STEPS = [
  'enrolment profile',
  'SCEP',
  'Authenticate',
  'TokenUpdate',
  'push',
  'Idle',
  'InstallProfile',
  'Acknowledged',
  'osquery report',
] as const;
const SHOW_EVERY_MS = 1000;

type Step = (typeof STEPS)[number];

export interface Progress {
  saw(mac: number, event: MacEvent): void;
  /** Counts of this start. */
  readonly totals: { enrolments: number; commands: number; pushes: number; faults: number; violations: number };
  /** One line: how many Macs have come how far. */
  line(): string;
  lastFaultAt(): number | undefined;
  /** Shows the line whenever it has changed, until told to stop. */
  show(tail: () => string): () => void;
}

export function createProgress(): Progress {
  const reached = new Map<Step, Set<number>>(STEPS.map((step) => [step, new Set()]));
  const totals = { enrolments: 0, commands: 0, pushes: 0, faults: 0, violations: 0 };
  let faultAt: number | undefined;
  const reach = (mac: number, ...steps: readonly Step[]) => {
    for (const step of steps) reached.get(step)?.add(mac);
  };
  const line = () => STEPS.map((step) => `${step} ${reached.get(step)?.size ?? 0}`).join(' → ');
  return {
    totals,
    line,
    show(tail) {
      let shown = '';
      const look = () => {
        const now = `${line()}${tail()}`;
        if (now !== shown) console.log(now);
        shown = now;
      };
      const timer = setInterval(look, SHOW_EVERY_MS);
      return () => {
        clearInterval(timer);
        look();
      };
    },
    saw(mac, event) {
      switch (event.kind) {
        case 'profile_fetched':
          return reach(mac, 'enrolment profile');
        case 'certificate_issued':
          return reach(mac, 'SCEP');
        case 'authenticated':
          return reach(mac, 'Authenticate');
        case 'enrolled':
          if (event.channel === 'device') totals.enrolments += 1;
          return reach(mac, 'TokenUpdate');
        case 'pushed':
          totals.pushes += 1;
          return reach(mac, 'push');
        case 'command':
          if (!event.again) totals.commands += 1;
          return reach(mac, 'Idle', ...(event.requestType === 'InstallProfile' ? (['InstallProfile'] as const) : []));
        case 'accepted':
          return event.status === 'Acknowledged' ? reach(mac, 'Acknowledged') : undefined;
        case 'fault':
          totals.faults += 1;
          faultAt = Date.now();
          return undefined;
        case 'violation':
          totals.violations += 1;
          return undefined;
        case 'reported':
          return reach(mac, 'osquery report');
        case 'answered':
        case 'installed':
        case 'removed':
        case 'unenrolled':
        case 'erased':
          return undefined;
      }
    },
    lastFaultAt: () => faultAt,
  };
}
