import { type Binary, between, not } from './sql-operators.ts';
import { Program } from './sql-program.ts';
import type { Env } from './sql-scope.ts';
import type { Tokens } from './sql-tokens.ts';
import type { Affinity, Operand, SqlValue } from './sql-values.ts';

type Parenthesis = { readonly kind: 'parenthesis' } | { readonly kind: 'call'; readonly name: string; commas: number };
type Pending =
  | Parenthesis
  | { readonly kind: 'operator'; readonly precedence: number; readonly emit: () => void }
  | { readonly kind: 'between'; readonly precedence: number; readonly negative: boolean; half: boolean };

/** How tightly SQLite's operators bind. */
export const OR = 1;
export const AND = 2;
export const NOT = 3;
export const EQUALITY = 4;
export const UNARY = 9;
/** No column's key. */
const LITERAL = 'literal';

/** The operators read and not yet done, and the program they become. */
export class OperatorStack {
  readonly program = new Program();
  readonly #tokens: Tokens;
  readonly #constrained: Set<string>;
  readonly #pending: Pending[] = [];
  /** The last operand as it was written: a column's key, LITERAL, or something worked out. */
  #written: string | undefined;

  constructor(tokens: Tokens, constrained: Set<string>) {
    this.#tokens = tokens;
    this.#constrained = constrained;
  }

  /** The innermost parenthesis still open. */
  get open(): Parenthesis | undefined {
    const open = this.#pending.findLast((one) => one.kind === 'call' || one.kind === 'parenthesis');
    return open?.kind === 'call' || open?.kind === 'parenthesis' ? open : undefined;
  }

  push(read: (env: Env) => Operand, written?: string): void {
    this.program.push(read);
    this.#written = written;
  }

  literal(value: SqlValue): void {
    this.push(() => ({ value, affinity: 'none' }), LITERAL);
  }

  apply(count: number, result: (operands: readonly Operand[]) => SqlValue, affinity?: Affinity): void {
    this.program.apply(count, result, affinity);
    this.#written = undefined;
  }

  unary(apply: (value: SqlValue) => SqlValue, affinity?: Affinity): void {
    this.apply(1, ([operand]) => apply(operand?.value ?? null), affinity);
  }

  prefix(precedence: number, apply: (value: SqlValue) => SqlValue): void {
    this.#pending.push({ kind: 'operator', precedence, emit: () => this.unary(apply) });
  }

  /** `equality`: a column beside a literal counts as constrained. */
  binary(precedence: number, apply: Binary, equality = false): void {
    this.reduce(precedence);
    const left = this.#written;
    const emit = () => {
      const sides = [left, this.#written];
      if (equality && sides.includes(LITERAL)) for (const side of sides) this.#constrained.add(side ?? LITERAL);
      this.apply(2, ([a, b]) => apply(a as Operand, b as Operand));
    };
    this.#pending.push({ kind: 'operator', precedence, emit });
  }

  openParenthesis(parenthesis: Parenthesis): void {
    this.#pending.push(parenthesis);
  }

  /** Everything inside it is done. */
  close(): Parenthesis | undefined {
    this.reduce(0);
    const { open } = this;
    if (open !== undefined) this.#pending.pop();
    return open;
  }

  between(negative: boolean): void {
    this.reduce(EQUALITY);
    this.#pending.push({ kind: 'between', precedence: EQUALITY, negative, half: false });
  }

  /** True when the AND just read parts the bounds of a BETWEEN. */
  partsBounds(): boolean {
    const last = this.#pending.findLastIndex((one) => one.kind !== 'operator');
    const bounds = this.#pending[last];
    if (bounds?.kind !== 'between' || bounds.half) return false;
    while (this.#pending.length > last + 1) this.#emit();
    bounds.half = true;
    return true;
  }

  /** Emits what binds at least as tightly, back to the nearest open parenthesis. */
  reduce(precedence: number): void {
    for (;;) {
      const top = this.#pending.at(-1);
      if (top === undefined || top.kind === 'parenthesis' || top.kind === 'call' || top.precedence < precedence) return;
      this.#emit();
    }
  }

  #emit(): void {
    const top = this.#pending.pop();
    if (top?.kind === 'operator') {
      top.emit();
      return;
    }
    if (top?.kind !== 'between' || !top.half) throw this.#tokens.error();
    const { negative } = top;
    this.apply(3, ([value, low, high]) => {
      const inside = between(value as Operand, low as Operand, high as Operand);
      return negative ? not(inside) : inside;
    });
  }
}
