import { type ErrorCode, EspalierError } from '../core/errors.ts';

/** A certificate has ~120 nodes, a device signature ~150; a 10 MB signed profile in 1 KB segments 10,000. */
export const DEFAULT_MAX_NODES = 20_000;
/** The deepest legitimate input (an attribute in a certificate in a SignedData) is 14 levels. */
export const DEFAULT_MAX_DEPTH = 40;
/** `Asn1Element.end` must fit the input, so longer length fields can only lie. */
const MAX_LENGTH_OCTETS = 4;

export const TAG = {
  endOfContents: 0x00,
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  constructedOctetString: 0x24,
  null: 0x05,
  oid: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  visibleString: 0x1a,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

export interface Asn1Limits {
  readonly maxNodes?: number;
  readonly maxDepth?: number;
}

/** What one reading may spend. One budget may be shared by several readings of the same message. */
export class Asn1Budget {
  readonly maxNodes: number;
  readonly maxDepth: number;
  nodes = 0;

  constructor(limits: Asn1Limits = {}) {
    this.maxNodes = limits.maxNodes ?? DEFAULT_MAX_NODES;
    this.maxDepth = limits.maxDepth ?? DEFAULT_MAX_DEPTH;
  }
}

export function asn1Malformed(detail: string, offset: number): EspalierError {
  return new EspalierError('asn1_malformed', detail, { place: { offset } });
}

/**
 * One tag-length-value. Definite-length content is read when `children` is asked for, so what nobody looks at costs
 * nothing: a certificate already in the cache is one node, not 120.
 */
export class Asn1Element {
  /** The first identifier octet: class, constructed bit and number in one, as the RFCs' encodings show it. */
  readonly tag: number;
  readonly start: number;
  readonly end: number;
  readonly indefinite: boolean;
  readonly depth: number;
  readonly #source: Buffer;
  readonly #bodyStart: number;
  readonly #bodyEnd: number;
  readonly #budget: Asn1Budget;
  #children: readonly Asn1Element[] | undefined;

  constructor(source: Buffer, at: number, limit: number, depth: number, budget: Asn1Budget) {
    if (depth > budget.maxDepth) {
      throw new EspalierError('asn1_too_deep', `ASN.1 nested deeper than ${budget.maxDepth}`, {
        place: { offset: at },
      });
    }
    if (++budget.nodes > budget.maxNodes) {
      throw new EspalierError('asn1_too_many_nodes', `ASN.1 with more than ${budget.maxNodes} elements`, {
        place: { offset: at },
      });
    }
    this.start = at;
    this.depth = depth;
    this.#source = source;
    this.#budget = budget;
    let next = at;
    if (limit - at < 2) throw asn1Malformed('ASN.1 element cut off', at);
    const tag = source[next++]!;
    if (tag === TAG.endOfContents) throw asn1Malformed('end-of-contents outside an indefinite length', at);
    // X.690 8.1.2.4: high tag numbers. Nothing read here uses them; they are stepped over inside opaque parts.
    if ((tag & 0x1f) === 0x1f) next = endOfHighTag(source, next, limit);
    this.tag = tag;
    if (next >= limit) throw asn1Malformed('ASN.1 length cut off', at);
    let length = source[next++]!;
    if (length === 0x80) {
      if ((tag & 0x20) === 0) throw asn1Malformed('indefinite length on a primitive element', at);
      this.indefinite = true;
      this.#bodyStart = next;
      const children: Asn1Element[] = [];
      for (;;) {
        if (limit - next < 2) throw asn1Malformed('indefinite length without end-of-contents', at);
        if (source[next] === 0 && source[next + 1] === 0) break;
        const child: Asn1Element = new Asn1Element(source, next, limit, depth + 1, budget);
        children.push(child);
        next = child.end;
      }
      this.#bodyEnd = next;
      this.#children = children;
      this.end = next + 2;
      return;
    }
    if (length > 0x80) {
      const octets = length & 0x7f;
      if (octets > MAX_LENGTH_OCTETS) throw asn1Malformed('ASN.1 length field too long', at);
      if (limit - next < octets) throw asn1Malformed('ASN.1 length cut off', at);
      length = 0;
      for (let i = 0; i < octets; i++) length = length * 256 + source[next++]!;
    }
    if (length > limit - next) throw asn1Malformed('ASN.1 length exceeds the data', at);
    this.indefinite = false;
    this.#bodyStart = next;
    this.#bodyEnd = next + length;
    this.end = next + length;
  }

  /** The whole element, header included: what signatures and name comparisons are made of. */
  get raw(): Buffer {
    return this.#source.subarray(this.start, this.end);
  }

  /** The content octets. */
  get body(): Buffer {
    return this.#source.subarray(this.#bodyStart, this.#bodyEnd);
  }

  get constructed(): boolean {
    return (this.tag & 0x20) !== 0;
  }

  get children(): readonly Asn1Element[] {
    if (this.#children !== undefined) return this.#children;
    if (!this.constructed) throw asn1Malformed('primitive element where a constructed one is needed', this.start);
    const children: Asn1Element[] = [];
    for (let at = this.#bodyStart; at < this.#bodyEnd; ) {
      const child = new Asn1Element(this.#source, at, this.#bodyEnd, this.depth + 1, this.#budget);
      children.push(child);
      at = child.end;
    }
    this.#children = children;
    return children;
  }

  /** The only child of an EXPLICIT tag. */
  get only(): Asn1Element {
    const [child, extra] = this.children;
    if (child === undefined || extra !== undefined)
      throw asn1Malformed('explicit tag without exactly one value', this.start);
    return child;
  }
}

function endOfHighTag(source: Buffer, at: number, limit: number): number {
  for (let i = at; i < limit && i < at + 4; i++) {
    if ((source[i]! & 0x80) === 0) return i + 1;
  }
  throw asn1Malformed('ASN.1 tag number too long', at);
}

/** Read exactly one element: bytes after it are an error, since two parsers could disagree about them. */
export function readAsn1(bytes: Uint8Array, limits: Asn1Limits | Asn1Budget = {}): Asn1Element {
  const source = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const budget = limits instanceof Asn1Budget ? limits : new Asn1Budget(limits);
  const element = new Asn1Element(source, 0, source.length, 0, budget);
  if (element.end !== source.length) throw asn1Malformed('bytes after the ASN.1 element', element.end);
  return element;
}

/** Read every level under `element`, so that what was not looked at is known to be well-formed too. */
export function walk(element: Asn1Element, visit: (element: Asn1Element) => void = () => {}): void {
  const waiting = [element];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    visit(next);
    // One by one: spreading 200,000 arguments overflows the stack.
    if (next.constructed) for (const child of next.children.toReversed()) waiting.push(child);
  }
}

/** A constructed element's parts in schema order; the error code is the caller's, as only it knows what was meant. */
export class Fields {
  readonly #items: readonly Asn1Element[];
  readonly #parent: Asn1Element;
  readonly #code: ErrorCode;
  readonly #what: string;
  #at = 0;

  constructor(parent: Asn1Element, tag: number, code: ErrorCode, what: string) {
    this.#parent = parent;
    this.#code = code;
    this.#what = what;
    if (parent.tag !== tag) throw this.#refusal(`${what} expected`, parent.start);
    this.#items = parent.children;
  }

  next(tag?: number): Asn1Element {
    const item = this.#items[this.#at];
    if (item === undefined || (tag !== undefined && item.tag !== tag)) {
      throw this.#refusal(
        `${this.#what}: field ${this.#at + 1} missing or of another type`,
        item?.start ?? this.#parent.end,
      );
    }
    this.#at++;
    return item;
  }

  optional(...tags: readonly number[]): Asn1Element | undefined {
    const item = this.#items[this.#at];
    if (item === undefined || !tags.includes(item.tag)) return undefined;
    this.#at++;
    return item;
  }

  all(): readonly Asn1Element[] {
    return this.#items;
  }

  end(): void {
    const item = this.#items[this.#at];
    if (item !== undefined) throw this.#refusal(`${this.#what}: unexpected field ${this.#at + 1}`, item.start);
  }

  #refusal(detail: string, offset: number): EspalierError {
    return new EspalierError(this.#code, detail, { place: { offset } });
  }
}
