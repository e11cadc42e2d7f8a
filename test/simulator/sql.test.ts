import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Row, runQuery, SqlError, type Table } from '../../simulator/osquery-sql.ts';
import { toolPath } from '../support/tool.ts';

const t: Table = {
  columns: ['name', 'n', 'v'],
  integers: ['n'],
  rows: () => [
    { name: 'a', n: '1', v: '14.7' },
    { name: "b'c", n: '2', v: '15.1' },
    { name: 'C', n: '', v: '' },
    { name: 'Slack.app', n: '10', v: '4.40.1' },
  ],
};
const u: Table = {
  columns: ['name', 'w'],
  rows: () => [
    { name: 'a', w: 'x' },
    { name: 'a', w: 'y' },
    { name: 'C', w: 'z' },
  ],
};
const profiles: Table = { columns: ['identifier', 'username'], requires: 'username', rows: () => [] };
const tables = new Map([
  ['t', t],
  ['u', u],
  ['per_user', profiles],
]);

describe('the SQL of label queries', () => {
  it.each<[string, readonly Row[]]>([
    ['SELECT n FROM t WHERE n > 1 ORDER BY n DESC', [{ n: '10' }, { n: '2' }]],
    ['SELECT 1 FROM t WHERE (n = 2 OR n = 10) AND NOT v LIKE "4.%"', [{ '1': '1' }]],
    ['SELECT name FROM t WHERE n IS NULL', [{ name: 'C' }]],
    ['SELECT name FROM t WHERE n BETWEEN 2 AND 3 AND v >= "15"', [{ name: "b'c" }]],
    ['SELECT COUNT(*) AS many FROM t WHERE v <> ""', [{ many: '3' }]],
    ['SELECT count(DISTINCT name) FROM u', [{ 'count(DISTINCT name)': '2' }]],
    ['SELECT x.name, w FROM t x LEFT JOIN u USING (name) WHERE w IS NULL LIMIT 1', [{ name: "b'c", w: '' }]],
    ['SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM t WHERE name = "Zoom.app")', [{ '1': '1' }]],
    ['SELECT name FROM t WHERE CAST(v AS INTEGER) >= 15 -- a comment', [{ name: "b'c" }]],
    ['SELECT name FROM u GROUP BY name HAVING COUNT(*) > 1', [{ name: 'a' }]],
    ["SELECT identifier FROM per_user WHERE username = 'ana'", []],
  ])('MAC-87 %s', (sql, expected) => {
    expect(runQuery(sql, tables)).toEqual(expected);
  });

  it.each([
    ['SELECT 1 FROM apps', 'no such table: apps'],
    ['SELECT 1 FROM t WHERE nowhere = 1', 'no such column: nowhere'],
    ['SELECT t.w FROM t', 'no such column: t.w'],
    ['SELECT name FROM t, u', 'ambiguous column name: name'],
    ['SELECT version_at_least(v) FROM t', 'no such function: version_at_least'],
    ['SELECT lower() FROM t', 'near ")": syntax error'],
    ['SELECT 1 FROM t WHERE count(*) > 1', 'misuse of aggregate: count()'],
    ['SELECT 1 FROM t WHERE (n = 1', 'incomplete input'],
    ['SELECT 1 FROM t WHERE n = 1)', 'near ")": syntax error'],
    ['WITH x AS (SELECT 1) SELECT * FROM x', 'near "WITH": syntax error'],
    ['SELECT identifier FROM per_user', 'an equality condition on username is required'],
    [`SELECT ${'1 + '.repeat(4000)}1`, 'too big'],
    [`SELECT ${'(SELECT '.repeat(20)}1${')'.repeat(20)}`, 'too large'],
  ])('MAC-87 %s is refused: %s', (sql, message) => {
    expect(() => runQuery(sql, tables)).toThrow(SqlError);
    expect(() => runQuery(sql, tables)).toThrow(message);
  });

  it('MAC-87 a pattern costs no more than its length times the text’s', () => {
    const long: Table = { columns: ['c'], rows: () => [{ c: 'a'.repeat(20_000) }] };
    expect(runQuery(`SELECT 1 FROM l WHERE c LIKE '${'%a'.repeat(200)}%b'`, new Map([['l', long]]))).toEqual([]);
  });
});

const python = toolPath('python3');

const literal = fc.constantFrom("'a'", '1', '2', "'2'", "'14.7'", '10', 'NULL', "'C'", '-1', "''");
const whole = fc.constantFrom('n', '2', '10', '-3');
const column = fc.constantFrom('t.name', 'n', 'v', 't.n');
const { expression } = fc.letrec<{ expression: string }>((tie) => {
  const inner = tie('expression');
  const negation = fc.constantFrom('', 'NOT ');
  return {
    expression: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      fc.oneof(column, literal),
      fc
        .tuple(inner, fc.constantFrom('=', '<>', '<', '>', '<=', '>=', '==', '||', 'IS', 'IS NOT'), inner)
        .map((parts) => parts.join(' ')),
      fc.tuple(inner, fc.constantFrom('AND', 'OR'), inner).map((parts) => parts.join(' ')),
      // Whole numbers only: how a real is written as text is not the agent's business here.
      fc.tuple(whole, fc.constantFrom('+', '-', '*', '/', '%'), whole).map((parts) => `(${parts.join(' ')})`),
      inner.map((one) => `NOT ${one}`),
      inner.map((one) => `(${one})`),
      fc
        .tuple(column, negation, fc.constantFrom("'%a%'", "'s_ack%'", "'C'", "'%.%'"))
        .map(([c, not, p]) => `${c} ${not}LIKE ${p}`),
      fc.tuple(column, negation, literal, literal).map(([c, not, a, b]) => `${c} ${not}IN (${a}, ${b})`),
      fc.tuple(column, negation, literal, literal).map(([c, not, a, b]) => `${c} ${not}BETWEEN ${a} AND ${b}`),
      fc.tuple(column, negation).map(([c, not]) => `${c} IS ${not}NULL`),
      fc.tuple(fc.constantFrom('lower', 'upper', 'length'), inner).map(([name, one]) => `${name}(${one})`),
      inner.map((one) => `CAST(${one} AS INTEGER)`),
      fc.constantFrom("EXISTS (SELECT 1 FROM u WHERE w = 'z')", '(SELECT w FROM u LIMIT 1)', 'n IN (SELECT 1)'),
    ),
  };
});

const statement = fc.tuple(fc.nat(4), expression, expression).map(([kind, one, other]) => {
  switch (kind) {
    case 0:
      return `SELECT ${one} AS x FROM t`;
    case 1:
      return `SELECT COUNT(*) AS c, MAX(v) AS m FROM t WHERE ${one}`;
    case 2:
      return `SELECT t.name AS a, w FROM t JOIN u ON t.name = u.name WHERE ${one}`;
    case 3:
      return `SELECT t.n AS n, w FROM t LEFT JOIN u USING (name) WHERE ${one} ORDER BY t.n, w DESC LIMIT 4`;
    default:
      return `SELECT DISTINCT ${other} AS x FROM t WHERE ${one}`;
  }
});

const SQLITE = `
import json, sqlite3, sys
db = sqlite3.connect(':memory:')
db.execute('create table t(name text, n integer, v text)')
db.executemany('insert into t values(?,?,?)', [('a',1,'14.7'),("b'c",2,'15.1'),('C',None,''),('Slack.app',10,'4.40.1')])
db.execute('create table u(name text, w text)')
db.executemany('insert into u values(?,?)', [('a','x'),('a','y'),('C','z')])
print(json.dumps([[['' if v is None else str(v) for v in row] for row in db.execute(q)] for q in json.load(sys.stdin)]))
`;

describe.skipIf(python === undefined)('held against SQLite itself', () => {
  it('MAC-87 random statements have the same rows', () => {
    const statements = fc.sample(statement, 1_000);
    const input = JSON.stringify(statements);
    const real = JSON.parse(execFileSync(python ?? '', ['-c', SQLITE], { input, encoding: 'utf8' })) as string[][][];
    for (const [index, sql] of statements.entries()) {
      const own = runQuery(sql, tables).map((row) => Object.values(row));
      expect(own, sql).toEqual(real[index]);
    }
  });
});
