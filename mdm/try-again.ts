import type { Tx, UnitOfWork } from '../core/tx.ts';

/** A deadlock, or two first messages of one Mac at once: the second run finds what the first one left (H-18). */
const MAX_TRIES = 3;

/** A unit of work, run again when the database refused it because of another that was under way. */
export async function runAgain<T>(
  unitOfWork: UnitOfWork,
  isRowFault: (error: unknown) => boolean,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await unitOfWork.run(work);
    } catch (error) {
      if (tries === MAX_TRIES || !isRowFault(error)) throw error;
    }
  }
}
