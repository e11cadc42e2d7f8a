import { type AggregateName, aggregateNamed, cast, castAffinity, FUNCTIONS } from './sql-functions.ts';
import { AND, EQUALITY, NOT, OperatorStack, OR, UNARY } from './sql-operator-stack.ts';
import { type Binary, both, either, isAmong, isGlob, isLike, negated, not, SYMBOLS, same } from './sql-operators.ts';
import { type Env, type Evaluable, findColumn, type Scope } from './sql-scope.ts';
import { RESERVED, SqlError, type Tokens } from './sql-tokens.ts';
import { fromTruth, type Operand, type SqlValue } from './sql-values.ts';

/** One SELECT inside another: reads it, and answers what runs it. */
export type ReadSelect = (tokens: Tokens) => () => readonly (readonly SqlValue[])[];

/**
 * Reads one expression by operator precedence, without recursion: what it holds becomes steps on a stack. Stops before
 * the first token that cannot belong to it.
 */
export function readExpression(tokens: Tokens, scope: Scope, readSelect: ReadSelect): Evaluable {
  const reader = new ExpressionReader(tokens, scope, readSelect);
  return reader.read();
}

class ExpressionReader {
  readonly #tokens: Tokens;
  readonly #scope: Scope;
  readonly #readSelect: ReadSelect;
  readonly #stack: OperatorStack;

  constructor(tokens: Tokens, scope: Scope, readSelect: ReadSelect) {
    this.#tokens = tokens;
    this.#scope = scope;
    this.#readSelect = readSelect;
    this.#stack = new OperatorStack(tokens, scope.constrained);
  }

  read(): Evaluable {
    let wantsOperand = true;
    for (;;) {
      if (wantsOperand) wantsOperand = this.#operand();
      else {
        const more = this.#afterOperand();
        if (more === 'end') break;
        wantsOperand = more === 'operand';
      }
    }
    this.#stack.reduce(0);
    if (this.#stack.open !== undefined) throw this.#tokens.error();
    return this.#stack.program;
  }

  /** True while an operand is still wanted. */
  #operand(): boolean {
    const tokens = this.#tokens;
    if (tokens.accept('NOT')) return this.#prefix(NOT, not);
    if (tokens.acceptSymbol('-')) return this.#prefix(UNARY, negated);
    if (tokens.acceptSymbol('+')) return true;
    if (tokens.accept('EXISTS')) {
      tokens.symbol('(');
      const rows = this.#readSelect(tokens);
      tokens.symbol(')');
      return this.#value(() => fromTruth(rows().length > 0));
    }
    if (tokens.acceptSymbol('(')) return this.#opened();
    const token = tokens.next();
    if (token.kind === 'number') return this.#literal(Number(token.text));
    if (token.kind === 'string') return this.#literal(token.text);
    if (token.kind === 'symbol') throw this.#errorBefore();
    return token.kind === 'word' ? this.#named(token.text) : this.#column(token.text, true);
  }

  #opened(): boolean {
    if (!this.#tokens.isWord('SELECT')) {
      this.#stack.openParenthesis({ kind: 'parenthesis' });
      return true;
    }
    const rows = this.#readSelect(this.#tokens);
    this.#tokens.symbol(')');
    return this.#value(() => rows()[0]?.[0] ?? null);
  }

  #named(word: string): boolean {
    const upper = word.toUpperCase();
    if (upper === 'NULL') return this.#literal(null);
    if (upper === 'TRUE' || upper === 'FALSE') return this.#literal(upper === 'TRUE' ? 1 : 0);
    if (RESERVED.has(upper)) throw this.#errorBefore();
    return this.#tokens.acceptSymbol('(') ? this.#call(word) : this.#column(word, false);
  }

  #call(name: string): boolean {
    const aggregate = aggregateNamed(name);
    if (aggregate !== undefined) return this.#aggregate(name, aggregate);
    const upper = name.toUpperCase();
    if (upper !== 'CAST' && !FUNCTIONS.has(upper)) throw new SqlError(`no such function: ${name}`);
    this.#stack.openParenthesis({ kind: 'call', name: upper, commas: 0 });
    return true;
  }

  /** Aggregates do not nest, so that reading the argument is the only time one expression is read inside another. */
  #aggregate(written: string, name: AggregateName): boolean {
    const { aggregates } = this.#scope;
    if (aggregates === undefined) throw new SqlError(`misuse of aggregate: ${written}()`);
    const distinct = this.#tokens.accept('DISTINCT');
    const all = name === 'COUNT' && !distinct && this.#tokens.acceptSymbol('*');
    const inner = { ...this.#scope, aggregates: undefined };
    const argument = all ? undefined : readExpression(this.#tokens, inner, this.#readSelect);
    this.#tokens.symbol(')');
    const index = aggregates.push({ name, distinct, argument }) - 1;
    return this.#value((env) => env.aggregates[index] ?? null);
  }

  /** A double-quoted name that no column has is a text: SQLite's old habit, and every second query relies on it. */
  #column(first: string, quoted: boolean): boolean {
    const qualified = this.#tokens.acceptSymbol('.');
    const name = qualified ? this.#tokens.identifier() : first;
    const column = findColumn(this.#scope, name, qualified ? first : undefined);
    if (column !== undefined) {
      this.#stack.push(column.read, column.key);
      return false;
    }
    if (quoted && !qualified) return this.#literal(first);
    throw new SqlError(`no such column: ${qualified ? `${first}.${name}` : name}`);
  }

  #afterOperand(): 'operand' | 'operator' | 'end' {
    const tokens = this.#tokens;
    const token = tokens.peek();
    if (token === undefined) return 'end';
    if (tokens.isSymbol(')')) return this.#closed();
    if (tokens.isSymbol(',')) return this.#comma();
    const symbol = token.kind === 'symbol' ? SYMBOLS.get(token.text) : undefined;
    if (symbol !== undefined) {
      tokens.next();
      const equality = token.text === '=' || token.text === '==';
      return this.#binary(symbol[0], symbol[1], equality);
    }
    return token.kind === 'word' ? this.#wordOperator() : 'end';
  }

  #wordOperator(): 'operand' | 'operator' | 'end' {
    const tokens = this.#tokens;
    if (tokens.accept('AND')) return this.#stack.partsBounds() ? 'operand' : this.#binary(AND, both);
    if (tokens.accept('OR')) return this.#binary(OR, either);
    if (tokens.isWord('AS') && this.#cast()) return 'operator';
    if (tokens.accept('ISNULL')) return this.#isNull(true);
    if (tokens.accept('NOTNULL') || tokens.accept('NOT', 'NULL')) return this.#isNull(false);
    if (tokens.accept('IS', 'NOT')) return this.#binary(EQUALITY, (l, r) => fromTruth(!same(l, r)));
    if (tokens.accept('IS')) return this.#binary(EQUALITY, (l, r) => fromTruth(same(l, r)));
    const place = tokens.place;
    const negative = tokens.accept('NOT');
    if (tokens.accept('LIKE')) return this.#matching(isLike, negative);
    if (tokens.accept('GLOB')) return this.#matching(isGlob, negative);
    if (tokens.accept('BETWEEN')) {
      this.#stack.between(negative);
      return 'operand';
    }
    if (tokens.accept('IN')) return this.#in(negative);
    tokens.return(place);
    return 'end';
  }

  #matching(test: Binary, negative: boolean): 'operand' {
    return this.#binary(EQUALITY, negative ? (l, r) => not(test(l, r)) : test);
  }

  #in(negative: boolean): 'operator' {
    const tokens = this.#tokens;
    this.#stack.reduce(EQUALITY);
    tokens.symbol('(');
    const listed = this.#listed();
    tokens.symbol(')');
    this.#stack.apply(1, ([left]) => {
      const found = isAmong(left as Operand, listed());
      return negative ? not(found) : found;
    });
    return 'operator';
  }

  #listed(): () => readonly SqlValue[] {
    const tokens = this.#tokens;
    if (tokens.isWord('SELECT')) {
      const rows = this.#readSelect(tokens);
      return () => rows().map((row) => row[0] ?? null);
    }
    const values: SqlValue[] = [];
    if (!tokens.isSymbol(')')) {
      do {
        const minus = tokens.acceptSymbol('-');
        const { kind, text } = tokens.next();
        if (kind === 'symbol' || (kind === 'word' && text.toUpperCase() !== 'NULL')) throw this.#errorBefore();
        const value = kind === 'word' ? null : kind === 'number' ? Number(text) : text;
        values.push(minus ? negated(value) : value);
      } while (tokens.acceptSymbol(','));
    }
    return () => values;
  }

  #isNull(wanted: boolean): 'operator' {
    this.#stack.reduce(EQUALITY);
    this.#stack.unary((value) => fromTruth((value === null) === wanted));
    return 'operator';
  }

  #cast(): boolean {
    const tokens = this.#tokens;
    const { open } = this.#stack;
    if (open?.kind !== 'call' || open.name !== 'CAST') return false;
    tokens.word('AS');
    const type = tokens.identifier();
    tokens.symbol(')');
    this.#stack.close();
    this.#stack.unary((value) => cast(value, type), castAffinity(type));
    return true;
  }

  #closed(): 'operator' | 'end' {
    const { open } = this.#stack;
    if (open === undefined) return 'end';
    if (open.kind === 'call' && open.name === 'CAST') throw this.#tokens.error();
    this.#tokens.next();
    this.#stack.close();
    if (open.kind === 'call') this.#emitCall(open.name, open.commas + 1);
    return 'operator';
  }

  #comma(): 'operand' | 'end' {
    const { open } = this.#stack;
    if (open === undefined) return 'end';
    if (open.kind !== 'call' || open.name === 'CAST') throw this.#tokens.error();
    this.#tokens.next();
    this.#stack.reduce(0);
    open.commas += 1;
    return 'operand';
  }

  #emitCall(name: string, count: number): void {
    const found = FUNCTIONS.get(name);
    if (found === undefined || count < found.least || count > found.most)
      throw new SqlError(`wrong number of arguments to function ${name}()`);
    this.#stack.apply(count, (operands) => found.apply(operands.map(({ value }) => value)));
  }

  #binary(precedence: number, apply: Binary, equality = false): 'operand' {
    this.#stack.binary(precedence, apply, equality);
    return 'operand';
  }

  #prefix(precedence: number, apply: (value: SqlValue) => SqlValue): true {
    this.#stack.prefix(precedence, apply);
    return true;
  }

  #literal(value: SqlValue): false {
    this.#stack.literal(value);
    return false;
  }

  #value(read: (env: Env) => SqlValue): false {
    this.#stack.push((env) => ({ value: read(env), affinity: 'none' }));
    return false;
  }

  #errorBefore(): SqlError {
    this.#tokens.return(this.#tokens.place - 1);
    return this.#tokens.error();
  }
}
