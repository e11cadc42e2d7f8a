import { EspalierError } from '../core/errors.ts';
import type { PlistPath } from '../plist/locate.ts';
import { isDict, kindOf, type PlistDict, type PlistKind, type PlistValue, Real } from '../plist/types.ts';
import { error, warning } from './finding.ts';
import { misspelt } from './near-miss.ts';
import { PAYLOAD_SCHEMA } from './payload-schema.ts';
import type { Finding } from './types.ts';

interface KeyRule {
  readonly kind: PlistKind | 'any';
  readonly required: boolean;
  /** Of a dict by name; of an array one, under ''. */
  readonly inside: KeyRules;
}
type KeyRules = ReadonlyMap<string, KeyRule>;
const NOTHING: KeyRules = new Map();

const KINDS: Readonly<Record<string, PlistKind | 'any'>> = {
  s: 'string',
  i: 'integer',
  r: 'real',
  b: 'boolean',
  t: 'date',
  x: 'data',
  a: 'array',
  d: 'dict',
  '*': 'any',
};
const NUMBERS: ReadonlySet<string> = new Set(['integer', 'real', 'boolean']);
/** Common to all payloads, and judged in `validate.ts`. */
const COMMON = [
  'PayloadType',
  'PayloadVersion',
  'PayloadIdentifier',
  'PayloadUUID',
  'PayloadDisplayName',
  'PayloadDescription',
  'PayloadOrganization',
];
const TOP_ONLY = ['PayloadContent', 'PayloadScope', 'EncryptedPayloadContent', 'IsEncrypted'];

/**
 * Types that are preference domains: a Mac writes what is there as managed preferences and misses nothing. Fleets have
 * `com.apple.screensaver` with nothing but an idle time, whatever the schema requires.
 */
const PREFERENCE_DOMAINS: ReadonlySet<string> = new Set([
  'com.apple.Dictionary',
  'com.apple.DiscRecording',
  'com.apple.MCX.TimeMachine',
  'com.apple.SystemConfiguration',
  'com.apple.applicationaccess.new',
  'com.apple.dashboard',
  'com.apple.familycontrols.contentfilter',
  'com.apple.familycontrols.timelimits.v2',
  'com.apple.loginitems.managed',
  'com.apple.screensaver',
  'com.apple.screensaver.user',
]);

/**
 * One payload's keys against Apple's schema for macOS. Refused: a key that Apple requires of every such payload, and a
 * value of another kind. A warning: a key required inside something that is itself optional, one number in place of
 * another (to a Mac all of them, and booleans, are NSNumbers), and a name that looks like a known one misspelt. A key the
 * schema does not know is never refused: it is of one macOS, and the next has more. A type it does not know is not judged.
 */
export function* payloadKeyFindings(
  type: string,
  content: PlistDict,
  at: PlistPath,
  spelling: SpellingBudget,
): Generator<Finding> {
  const rules = type === 'TopLevel' ? undefined : rulesOf(type);
  if (rules !== undefined) yield* judge({ type, content, rules, at, known: COMMON, depth: 0, spelling });
}

/** Keys of one upload that may still be compared with those they may have been meant to be. */
export interface SpellingBudget {
  left: number;
}

/** A comparison costs what reading some hundred keys does, and an upload may have a million of them. */
export function spellingBudget(): SpellingBudget {
  return { left: 10_000 };
}

/** The keys of the profile itself. */
export function topLevelKeyFindings(root: PlistDict, spelling: SpellingBudget): Generator<Finding> {
  const rules = rulesOf('TopLevel') ?? NOTHING;
  return judge({
    type: 'a profile',
    content: root,
    rules,
    at: [],
    known: [...COMMON, ...TOP_ONLY],
    depth: 0,
    spelling,
  });
}

interface Judged {
  readonly type: string;
  readonly content: PlistDict;
  readonly rules: KeyRules;
  readonly at: PlistPath;
  readonly known: readonly string[];
  /** Dicts between the payload and this one. */
  readonly depth: number;
  readonly spelling: SpellingBudget;
}

/** Recursion follows the schema, which is seven levels deep, and not the upload. */
function* judge(judged: Judged): Generator<Finding> {
  const { type, content, rules, at, known, depth } = judged;
  for (const [name, { required, kind }] of rules) {
    if (!required || name === 'ANY' || content.has(name)) continue;
    const isRefused = depth === 0 && !PREFERENCE_DOMAINS.has(type);
    const where = at.at(-1);
    const who = depth === 0 ? type : `${typeof where === 'string' ? where : 'an item'} of ${type}`;
    const message = `${who} needs ${name} (${kind}) by Apple's schema`;
    yield (isRefused ? error : warning)('payload_key_missing', [...at, name], message);
  }
  const others = rules.get('ANY');
  for (const [name, value] of content) {
    const rule = rules.get(name) ?? others;
    if (rule !== undefined) yield* judgeValue(judged, rule, [...at, name], value);
  }
  if (others !== undefined || judged.spelling.left <= 0) return;
  judged.spelling.left -= content.size;
  for (const [wrong, right] of misspelt([...content.keys()], [...rules.keys()], known)) {
    const message = `${type} has no key ${JSON.stringify(wrong)} that Apple's schema knows; is ${right} meant?`;
    yield warning('payload_key_misspelt', [...at, wrong], message);
  }
}

function* judgeValue(judged: Judged, rule: KeyRule, at: PlistPath, value: PlistValue): Generator<Finding> {
  if (rule.kind === 'any') return;
  const found = kindOf(value);
  if (found !== rule.kind) {
    // Every whole number is a real, and a whole real is an integer.
    if (rule.kind === 'real' && found === 'integer') return;
    if (rule.kind === 'integer' && value instanceof Real && Number.isInteger(value.value)) return;
    const name = at.findLast((part) => typeof part === 'string');
    const message = `${name} of ${judged.type} is ${rule.kind} in Apple's schema, found ${found}`;
    const makesDo = NUMBERS.has(rule.kind) && NUMBERS.has(found);
    yield (makesDo ? warning : error)('payload_key_wrong_type', at, message);
  } else if (isDict(value) && rule.inside.size > 0) {
    yield* judge({ ...judged, content: value, rules: rule.inside, at, known: [], depth: judged.depth + 1 });
  } else if (Array.isArray(value)) {
    const item = rule.inside.get('');
    if (item === undefined) return;
    for (const [index, one] of value.entries()) yield* judgeValue(judged, item, [...at, index], one);
  }
}

const read = new Map<string, KeyRules>();

function rulesOf(type: string): KeyRules | undefined {
  const row = PAYLOAD_SCHEMA.get(type);
  if (row === undefined) return undefined;
  const rules = read.get(type) ?? readRow(row, 0).rules;
  read.set(type, rules);
  return rules;
}

const ENTRY = /([^:|()]*):([sirbtxad*])(!?)/y;

/** A row of the table from `from`, up to its end or the bracket that closes it. */
function readRow(row: string, from: number): { rules: KeyRules; end: number } {
  const rules = new Map<string, KeyRule>();
  let at = from;
  while (at < row.length && row[at] !== ')') {
    ENTRY.lastIndex = row[at] === '|' ? at + 1 : at;
    const [entry, name = '', letter = '', mark] = ENTRY.exec(row) ?? [];
    if (entry === undefined) throw new EspalierError('internal_error', 'a row of the payload schema cannot be read');
    at = ENTRY.lastIndex;
    const inner = row[at] === '(' ? readRow(row, at + 1) : undefined;
    if (inner !== undefined) at = inner.end + 1;
    rules.set(name, { kind: KINDS[letter] ?? 'any', required: mark === '!', inside: inner?.rules ?? NOTHING });
  }
  return { rules, end: at };
}
