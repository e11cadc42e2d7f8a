/**
 * The part of PostgreSQL's frontend/backend protocol 3.0 that one trusted, in-process session needs (PostgreSQL
 * documentation §54.7). One exchange carries whole round trips, each ended by Sync or a simple Query.
 */
import type { EncodedParameter } from './values.ts';
import { type ParseText, parserOf } from './values.ts';

/** A column of a result: its name and how its text becomes a value. */
export interface Column {
  readonly name: string;
  readonly parse: ParseText;
}

/** What one round trip answered. `status`: I idle, T in a transaction, E in a failed transaction. */
export interface Reply {
  readonly columns: readonly Column[];
  readonly rows: Record<string, unknown>[];
  /** `INSERT`, `COMMIT`, …: the first words of the last command tag. */
  readonly command: string;
  readonly count: number;
  /** The server's error, or what was wrong with a value it sent. */
  readonly error: unknown;
  readonly status: string;
}

/** An ErrorResponse, with the field names the `pg` package uses, so that stores test one shape: `code` is the SQLSTATE. */
class DatabaseError extends Error {
  readonly code: string;
  readonly severity: string | undefined;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly position: string | undefined;
  readonly schema: string | undefined;
  readonly table: string | undefined;
  readonly column: string | undefined;
  readonly constraint: string | undefined;

  constructor(fields: ReadonlyMap<string, string>) {
    super(fields.get('M') ?? 'unknown database error');
    this.name = 'DatabaseError';
    this.code = fields.get('C') ?? 'XX000';
    this.severity = fields.get('V') ?? fields.get('S');
    this.detail = fields.get('D');
    this.hint = fields.get('H');
    this.position = fields.get('P');
    this.schema = fields.get('s');
    this.table = fields.get('t');
    this.column = fields.get('c');
    this.constraint = fields.get('n');
  }
}

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const head = Buffer.allocUnsafe(5);
  head.write(type, 'latin1');
  head.writeInt32BE(
    parts.reduce((sum, part) => sum + part.length, 4),
    1,
  );
  return Buffer.concat([head, ...parts]);
}

const cstring = (text: string): Buffer => Buffer.from(`${text}\0`);

function int16(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(2);
  buffer.writeInt16BE(value);
  return buffer;
}

function int32(value: number): Buffer {
  const buffer = Buffer.allocUnsafe(4);
  buffer.writeInt32BE(value);
  return buffer;
}

const NO_TYPES = int16(0);
const TEXT_RESULTS = int16(0);
const DESCRIBE_PORTAL = message('D', cstring('P'));
const EXECUTE = message('E', cstring(''), int32(0));
const SYNC = message('S');

/** A simple Query: may hold several statements, takes no parameters. */
export function simpleQuery(sql: string): Buffer {
  return message('Q', cstring(sql));
}

export function parse(name: string, sql: string): Buffer {
  return message('P', cstring(name), cstring(sql), NO_TYPES);
}

/** Bytes travel in binary format, everything else as text; all results come as text. */
export function bind(name: string, parameters: readonly EncodedParameter[]): Buffer {
  const parts: Buffer[] = [cstring(''), cstring(name), int16(parameters.length)];
  for (const value of parameters) parts.push(int16(value instanceof Uint8Array ? 1 : 0));
  parts.push(int16(parameters.length));
  for (const value of parameters) {
    if (value === null) {
      parts.push(int32(-1));
      continue;
    }
    const bytes =
      typeof value === 'string' ? Buffer.from(value) : Buffer.from(value.buffer, value.byteOffset, value.length);
    parts.push(int32(bytes.length), bytes);
  }
  parts.push(TEXT_RESULTS);
  return message('B', ...parts);
}

/** The rest of a round trip after Bind; a described statement's columns are known and are not asked for again. */
export function execute(describe: boolean): Buffer {
  return describe ? Buffer.concat([DESCRIBE_PORTAL, EXECUTE, SYNC]) : Buffer.concat([EXECUTE, SYNC]);
}

/** Forget a prepared statement; goes in front of a message that ends with Sync. */
export function closeStatement(name: string): Buffer {
  return message('C', cstring(`S${name}`));
}

function readCstring(buffer: Buffer, at: number): string {
  return buffer.toString('utf8', at, buffer.indexOf(0, at));
}

function readColumns(body: Buffer): Column[] {
  const columns: Column[] = [];
  let at = 2;
  for (let left = body.readInt16BE(0); left > 0; left -= 1) {
    const name = readCstring(body, at);
    at = body.indexOf(0, at) + 1;
    columns.push({ name, parse: parserOf(body.readInt32BE(at + 6)) });
    at += 18;
  }
  return columns;
}

function readRow(body: Buffer, columns: readonly Column[]): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  let at = 2;
  for (const { name, parse } of columns) {
    const length = body.readInt32BE(at);
    at += 4;
    if (length < 0) {
      row[name] = null;
    } else {
      row[name] = parse(body.toString('utf8', at, at + length));
      at += length;
    }
  }
  return row;
}

function readError(body: Buffer): DatabaseError {
  const fields = new Map<string, string>();
  for (let at = 0; body[at] !== 0 && at < body.length; at = body.indexOf(0, at) + 1) {
    fields.set(String.fromCharCode(body[at] as number), readCstring(body, at + 1));
  }
  return new DatabaseError(fields);
}

/**
 * Split what the server answered into one Reply per round trip.
 * `known` gives the columns of round trips that were sent without Describe, by their position.
 */
export function readReplies(bytes: Uint8Array, known: ReadonlyMap<number, readonly Column[]> = new Map()): Reply[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const replies: Reply[] = [];
  let columns = known.get(0) ?? [];
  let rows: Record<string, unknown>[] = [];
  let tag = '';
  let error: unknown;
  for (let at = 0; at < buffer.length; ) {
    const end = at + 1 + buffer.readInt32BE(at + 1);
    const body = buffer.subarray(at + 5, end);
    switch (String.fromCharCode(buffer[at] as number)) {
      case 'T':
        columns = readColumns(body);
        rows = [];
        break;
      case 'D':
        try {
          rows.push(readRow(body, columns));
        } catch (unreadable) {
          error ??= unreadable;
        }
        break;
      case 'C':
        tag = readCstring(body, 0);
        break;
      case 'E':
        error = readError(body);
        break;
      case 'Z':
        replies.push({
          columns,
          rows,
          command: tag.replace(/ [\d ]+$/, ''),
          count: Number(/\d+$/.exec(tag)?.[0] ?? 0),
          error,
          status: body.toString('latin1'),
        });
        columns = known.get(replies.length) ?? [];
        rows = [];
        tag = '';
        error = undefined;
        break;
    }
    at = end;
  }
  return replies;
}
