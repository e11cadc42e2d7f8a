/**
 * Finds a unit of work that asks for a second connection: on PGlite it would wait for itself for ever, on a busy pool for
 * as long as the others do the same.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { EspalierError } from '../core/errors.ts';

interface Unit {
  leased: boolean;
  over: boolean;
}

/**
 * Before Node 24 AsyncLocalStorage hooks into every promise of the process: 4 to 6 µs per statement (measured, a tenth of
 * its cost). There it is left to PGlite and to the tests, which run every store on both engines.
 */
export const GUARD_IS_CHEAP = Number(process.versions.node.split('.')[0]) >= 24;

export interface UnitGuard {
  /** Runs one unit of work. Errors: internal_error inside another one. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Called for each connection. Errors: internal_error for the second one of a unit of work. */
  lease(): void;
}

export const noGuard: UnitGuard = { run: (work) => work(), lease: () => undefined };

export function unitGuard(): UnitGuard {
  const units = new AsyncLocalStorage<Unit>();
  /** What a unit of work leaves behind to run later is free again. */
  const open = (): Unit | undefined => {
    const unit = units.getStore();
    return unit?.over === false ? unit : undefined;
  };
  return {
    async run(work) {
      if (open() !== undefined) {
        throw new EspalierError('internal_error', 'a unit of work was started inside another; hand the tx down');
      }
      const unit: Unit = { leased: false, over: false };
      try {
        return await units.run(unit, work);
      } finally {
        unit.over = true;
      }
    },
    lease() {
      const unit = open();
      if (unit === undefined) return;
      if (unit.leased) {
        throw new EspalierError(
          'internal_error',
          'a second connection was asked for inside a unit of work; use its tx',
        );
      }
      unit.leased = true;
    },
  };
}
