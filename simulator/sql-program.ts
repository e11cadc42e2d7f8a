import type { Env, Evaluable } from './sql-scope.ts';
import type { Affinity, Operand, SqlValue } from './sql-values.ts';

type Step = (stack: Operand[], env: Env) => void;

/** An expression in the order in which a stack machine does it: however long, it is worked off without recursion. */
export class Program implements Evaluable {
  readonly #steps: Step[] = [];

  push(read: (env: Env) => Operand): void {
    this.#steps.push((stack, env) => {
      stack.push(read(env));
    });
  }

  /** Takes the last `count` operands and leaves one. */
  apply(count: number, result: (operands: readonly Operand[]) => SqlValue, affinity: Affinity = 'none'): void {
    this.#steps.push((stack) => {
      const operands = stack.splice(stack.length - count);
      stack.push({ value: result(operands), affinity });
    });
  }

  evaluate(env: Env): SqlValue {
    const stack: Operand[] = [];
    for (const step of this.#steps) step(stack, env);
    return stack[0]?.value ?? null;
  }
}
