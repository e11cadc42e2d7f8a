import { joinPath } from '../../../plist/limits.ts';
import { isDict, type PlistDict, type PlistValue } from '../../../plist/types.ts';
import { isRequired, keyFindings } from './applicability.ts';
import type { Context, Finding, SchemaKey, SchemaNode } from './types.ts';
import { describe, hasType, scalarFindings } from './values.ts';

/** The containers that lead to a place, outermost first: what a recursive layout counts its levels in. */
type Trail = readonly SchemaKey[];

interface Here {
  readonly path: string;
  readonly trail: Trail;
  readonly context: Context;
}

/** Keys that another table answers for (identity, envelope): neither unknown nor missing here. */
export type Elsewhere = ReadonlySet<string>;
const NOTHING: Elsewhere = new Set();

export function walkKeys(
  dict: PlistDict,
  nodes: readonly SchemaNode[],
  context: Context,
  path = '',
  elsewhere: Elsewhere = NOTHING,
): readonly Finding[] {
  return walkDict(dict, nodes, { path, trail: [], context }, elsewhere);
}

function walkDict(
  dict: PlistDict,
  nodes: readonly SchemaNode[],
  here: Here,
  elsewhere: Elsewhere = NOTHING,
): readonly Finding[] {
  const known = new Map(nodes.map((node) => resolve(node, here.trail)).map((found) => [found.key.key, found]));
  const any = known.get('ANY');
  const findings: Finding[] = [];
  for (const [name, value] of dict) {
    if (elsewhere.has(name)) continue;
    const path = joinPath(here.path, name);
    const found = known.get(name) ?? any;
    if (found !== undefined) findings.push(...walkValue(value, found.key, { ...here, path, trail: found.trail }));
    else
      findings.push({ path, rule: 'unknown-key', message: `${name} is not a key of this place`, severity: 'warning' });
  }
  for (const { key } of known.values()) {
    if (key.key === 'ANY' || dict.has(key.key) || elsewhere.has(key.key) || !isRequired(key, here.context)) continue;
    const path = joinPath(here.path, key.key);
    findings.push({ path, rule: 'missing-key', message: `${key.key} is required`, severity: 'error' });
  }
  return findings;
}

function walkValue(value: PlistValue, key: SchemaKey, here: Here): readonly Finding[] {
  const findings = keyFindings(key, here.context, here.path);
  // What the device does not have is said once and not again for each of its parts.
  if (findings.some((finding) => finding.severity === 'error')) return findings;
  if (!hasType(value, key.type)) {
    const other = (key.alternatives ?? []).find((alternative) => hasType(value, alternative.type));
    if (other !== undefined) return [...findings, ...walkContent(value, other, here)];
    const message = `${key.key} must be ${key.type}, found ${describe(value)}`;
    return [...findings, { path: here.path, rule: 'type', message, severity: 'error' }];
  }
  return [...findings, ...walkContent(value, key, here)];
}

function walkContent(value: PlistValue, key: SchemaKey, here: Here): readonly Finding[] {
  const inside = { ...here, trail: [...here.trail, key] };
  if (key.type === 'any' || key.subkeys === undefined) return scalarFindings(value, key, here.path);
  if (isDict(value)) return walkDict(value, key.subkeys, inside);
  if (Array.isArray(value)) return walkArray(value, key.subkeys, inside);
  return [...scalarFindings(value, key, here.path), ...enumerated(value, key, key.subkeys, here)];
}

function walkArray(values: readonly PlistValue[], nodes: readonly SchemaNode[], here: Here): readonly Finding[] {
  const placeholders = nodes.map((node) => resolve(node, here.trail));
  if (placeholders.length === 0) return [];
  const findings: Finding[] = [];
  const { min = 0, max = Number.POSITIVE_INFINITY } = placeholders[0]?.key.repetition ?? {};
  if (values.length < min || values.length > max) {
    const message = `${values.length} items where ${min} to ${max} belong`;
    findings.push({ path: here.path, rule: 'repetition', message, severity: 'error' });
  }
  values.forEach((value, index) => {
    const item = { ...here, path: joinPath(here.path, index) };
    const choices = placeholders.length === 1 ? placeholders : placeholders.filter(({ key }) => isNamedBy(key, value));
    const [choice] = choices;
    if (choice !== undefined) findings.push(...walkValue(value, choice.key, { ...item, trail: choice.trail }));
    else findings.push({ path: item.path, rule: 'rangelist', message: 'no such Item', severity: 'error' });
  });
  return findings;
}

/** Settings: each dictionary says by its `Item` which of the layouts it is. */
function isNamedBy(placeholder: SchemaKey, value: PlistValue): boolean {
  const item = isDict(value) ? value.get('Item') : undefined;
  const layout = placeholder.subkeys?.find((node): node is SchemaKey => 'key' in node && node.key === 'Item');
  return typeof item === 'string' && layout?.rangelist?.includes(item) === true;
}

/** A scalar's subkeys are the values it may have, each with its own rules (DeviceInformation.Queries). */
function enumerated(value: PlistValue, key: SchemaKey, nodes: readonly SchemaNode[], here: Here): readonly Finding[] {
  const named = nodes.find((node): node is SchemaKey => 'key' in node && node.key === value);
  if (named !== undefined) return keyFindings(named, here.context, here.path);
  const message = `${JSON.stringify(value)} is not a value of ${key.key}`;
  return [{ path: here.path, rule: 'rangelist', message, severity: 'error' }];
}

/** A recursive node stands for the container `depth` levels up: 1 is the one it stands in. */
function resolve(node: SchemaNode, trail: Trail): { readonly key: SchemaKey; readonly trail: Trail } {
  if ('key' in node) return { key: node, trail };
  const level = trail.length - node.depth;
  const key = trail[level];
  if (key === undefined)
    throw new Error(`a recursive layout points ${node.depth} levels up from level ${trail.length}`);
  return { key, trail: trail.slice(0, level) };
}
