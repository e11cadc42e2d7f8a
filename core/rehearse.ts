import type { Tx, UnitOfWork } from './tx.ts';

/** Never leaves this file; carries the answer out of a unit of work that must not commit. */
class Rehearsed<T> extends Error {
  readonly value: T;

  constructor(value: T) {
    super('a rehearsal never commits');
    this.value = value;
  }
}

/** Does the work for real and takes all of it back: what a dry run answers cannot differ from what the change would do. */
export async function rehearse<T>(unitOfWork: UnitOfWork, work: (tx: Tx) => Promise<T>): Promise<T> {
  try {
    return await unitOfWork.run(async (tx) => {
      throw new Rehearsed(await work(tx));
    });
  } catch (error) {
    if (error instanceof Rehearsed) return error.value as T;
    throw error;
  }
}
