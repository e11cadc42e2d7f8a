import { isDict, type PlistDict, type PlistValue } from '../plist/types.ts';
import { type MacRefusal, refusal } from './refusal.ts';

/** The two layers of a profile report the same mistakes under different domains (apple-protocol appendix D). */
const LAYERS = {
  profile: { domain: 'MCProfile', missing: 1002, type: 1003, value: 1010 },
  payload: { domain: 'MCPayload', missing: 2002, type: 2003, value: 2004 },
} as const;

export type Layer = keyof typeof LAYERS;

/** The keys of one dict of a profile, read as strictly as a Mac reads them: `<real>` or `<string>` is no `<integer>`. */
export class KeysOf {
  readonly dict: PlistDict;
  readonly path: string;
  readonly #layer: Layer;

  constructor(dict: PlistDict, layer: Layer, path: string) {
    this.dict = dict;
    this.#layer = layer;
    this.path = path;
  }

  string(key: string): string {
    return this.#required(key, this.optionalString(key));
  }

  optionalString(key: string): string | undefined {
    return this.#typed(key, 'a string', (value) => (typeof value === 'string' ? value : undefined));
  }

  integer(key: string): number {
    return this.#required(key, this.optionalInteger(key));
  }

  optionalInteger(key: string): number | undefined {
    return this.#typed(key, 'an integer', (value) => (typeof value === 'number' ? value : undefined));
  }

  optionalBoolean(key: string): boolean | undefined {
    return this.#typed(key, 'a boolean', (value) => (typeof value === 'boolean' ? value : undefined));
  }

  data(key: string): Uint8Array {
    return this.#required(key, this.optionalData(key));
  }

  optionalData(key: string): Uint8Array | undefined {
    return this.#typed(key, 'data', (value) => (value instanceof Uint8Array ? value : undefined));
  }

  array(key: string): readonly PlistValue[] {
    return this.#required(key, this.optionalArray(key));
  }

  optionalArray(key: string): readonly PlistValue[] | undefined {
    return this.#typed(key, 'an array', (value) => (Array.isArray(value) ? value : undefined));
  }

  optionalStrings(key: string): readonly string[] | undefined {
    return this.#typed(key, 'an array of strings', (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined,
    );
  }

  dictAt(key: string): KeysOf {
    const dict = this.#typed(key, 'a dictionary', (value) => (isDict(value) ? value : undefined));
    return new KeysOf(this.#required(key, dict), this.#layer, `${this.path}.${key}`);
  }

  /** A value of the right type that is still not acceptable. */
  unacceptable(rule: string, key: string, why: string): MacRefusal {
    const { domain, value } = LAYERS[this.#layer];
    return refusal(rule, domain, value, `The value of ${this.path}.${key} is not acceptable: ${why}`);
  }

  #typed<T>(key: string, kind: string, narrow: (value: PlistValue) => T | undefined): T | undefined {
    const value = this.dict.get(key);
    if (value === undefined) return undefined;
    const narrowed = narrow(value);
    if (narrowed !== undefined) return narrowed;
    const { domain, type } = LAYERS[this.#layer];
    throw refusal('MAC-12', domain, type, `${this.path}.${key} must be ${kind}`);
  }

  #required<T>(key: string, value: T | undefined): T {
    if (value !== undefined) return value;
    const { domain, missing } = LAYERS[this.#layer];
    throw refusal('MAC-11', domain, missing, `${this.path}.${key} is missing`);
  }
}
