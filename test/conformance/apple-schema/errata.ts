import type { SchemaItem, SchemaKey, SchemaNode } from './types.ts';

/** One place where devices and Apple's own text say otherwise than the data; everything else is taken at its word. */
interface Erratum {
  readonly file: string;
  readonly why: string;
  amend(item: SchemaItem): SchemaItem;
}

const string = (key: string, presence: 'required' | 'optional' = 'optional'): SchemaKey => ({
  key,
  type: 'string',
  presence,
});

const ERRATA: readonly Erratum[] = [
  {
    file: 'mdm/checkin/userauthenticate.yaml',
    why: 'the first of the two messages has no DigestResponse, and both have an answer (apple-protocol §1.9)',
    amend: (item) => ({
      ...at(item, ['DigestResponse'], (key) => ({ ...key, presence: 'optional' })),
      response: [string('DigestChallenge'), string('AuthToken')],
    }),
  },
  {
    file: 'mdm/commands/settings.yaml',
    why: 'declared as one dictionary; devices return one per setting, in an array',
    amend: (item) => ({
      ...item,
      response: change(item.response ?? [], ['Settings'], (key) => ({
        ...key,
        alternatives: [{ key: key.key, type: 'array', subkeys: [{ ...key, key: 'SettingsItem' }] }],
      })),
    }),
  },
  {
    file: 'mdm/profiles/com.apple.security.scep.yaml',
    why: 'three of the alternative names may be a string or an array of strings',
    amend: (item) =>
      ['rfc822Name', 'dNSName', 'uniformResourceIdentifier'].reduce(
        (amended, name) =>
          at(amended, ['PayloadContent', 'SubjectAltName', name], (key) => ({
            ...key,
            alternatives: [{ key: name, type: 'array', subkeys: [string(`${name}Item`)] }],
          })),
        item,
      ),
  },
  {
    file: 'mdm/profiles/TopLevel.yaml',
    why: 'ConsentText is a dictionary language → text; the data shows a dictionary more',
    amend: (item) => at(item, ['ConsentText'], (key) => ({ ...key, subkeys: [string('ANY')] })),
  },
];

export function amended(item: SchemaItem): SchemaItem {
  return ERRATA.filter((erratum) => erratum.file === item.file).reduce((now, erratum) => erratum.amend(now), item);
}

type Change = (key: SchemaKey) => SchemaKey;

function at(item: SchemaItem, path: readonly string[], how: Change): SchemaItem {
  return { ...item, keys: change(item.keys, path, how) };
}

function change(nodes: readonly SchemaNode[], path: readonly string[], how: Change): readonly SchemaNode[] {
  const [name, ...rest] = path;
  if (!nodes.some((node) => 'key' in node && node.key === name)) throw new Error(`an erratum names no key ${name}`);
  return nodes.map((node) => {
    if (!('key' in node) || node.key !== name) return node;
    return rest.length === 0 ? how(node) : { ...node, subkeys: change(node.subkeys ?? [], rest, how) };
  });
}
