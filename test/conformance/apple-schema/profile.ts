import { isDict, type PlistDict } from '../../../plist/types.ts';
import { blockFindings } from './applicability.ts';
import { enrollmentProfileFindings } from './enrollment-rules.ts';
import { schema } from './load.ts';
import type { Context, Finding, Payload, SchemaItem, SchemaNode } from './types.ts';
import { walkKeys } from './walk.ts';

/** A whole configuration profile: its own keys, every payload by its type, and what holds between them (§3.1). */
export function validateProfile(dict: PlistDict, context: Context): readonly Finding[] {
  const { topLevel } = schema();
  const encrypted = dict.get('IsEncrypted') === true;
  const payloads = payloadsOf(dict);
  const findings = [
    ...blockFindings(topLevel.os?.[context.os], context, '', 'profile'),
    ...walkKeys(dict, topLevel.keys, context, '', new Set(encrypted ? ['PayloadContent'] : [])),
    ...payloads.flatMap((payload) => payloadFindings(payload, context)),
    ...duplicateFindings(payloads, context),
    ...enrollmentProfileFindings(payloads),
  ];
  if (!encrypted || dict.has('EncryptedPayloadContent')) return findings;
  const message = 'an encrypted profile has EncryptedPayloadContent';
  return [...findings, { path: 'EncryptedPayloadContent', rule: 'missing-key', message, severity: 'error' }];
}

function payloadsOf(dict: PlistDict): readonly Payload[] {
  const content = dict.get('PayloadContent');
  if (!Array.isArray(content)) return [];
  return content.flatMap((item, index) => {
    const type = isDict(item) ? item.get('PayloadType') : undefined;
    const path = `PayloadContent[${index}]`;
    return isDict(item) ? [{ dict: item, path, type: typeof type === 'string' ? type : '' }] : [];
  });
}

function payloadFindings(payload: Payload, context: Context): readonly Finding[] {
  const { payloads, commonPayload } = schema();
  const variants = payloads.get(payload.type);
  if (variants === undefined) {
    // macOS takes any preference domain as a type, so this is no error; its keys are nobody's to judge.
    const message = `no payload type is called ${payload.type}`;
    const common = walkKeys(payload.dict, commonPayload.keys, context, payload.path);
    return [
      { path: `${payload.path}.PayloadType`, rule: 'unknown-type', message, severity: 'warning' },
      ...common.filter((finding) => finding.rule !== 'unknown-key'),
    ];
  }
  const known = new Set(variants.flatMap((variant) => variant.keys.map((node) => `${payload.path}.${nameOf(node)}`)));
  const readings = variants.map((variant) => [
    ...blockFindings(variant.os?.[context.os], context, payload.path, payload.type),
    ...walkKeys(payload.dict, payloadKeys(variant), context, payload.path),
  ]);
  // One type in several files: the reading that fits best, and a key that any of them has is known.
  const [best = []] = readings.toSorted((a, b) => weight(a) - weight(b));
  return best.filter((finding) => finding.rule !== 'unknown-key' || !known.has(finding.path));
}

function payloadKeys(variant: SchemaItem): readonly SchemaNode[] {
  const own = new Set(variant.keys.map(nameOf));
  return [...schema().commonPayload.keys.filter((node) => !own.has(nameOf(node))), ...variant.keys];
}

function nameOf(node: SchemaNode): string {
  return 'key' in node ? node.key : '';
}

function weight(findings: readonly Finding[]): number {
  const errors = findings.filter((finding) => finding.severity === 'error').length;
  return errors * 1000 + findings.length;
}

function duplicateFindings(payloads: readonly Payload[], context: Context): readonly Finding[] {
  const findings: Finding[] = [];
  const seen = new Set<string>();
  const once = (what: string, path: string, message: string): void => {
    if (seen.has(what)) findings.push({ path, rule: 'duplicate', message, severity: 'error' });
    seen.add(what);
  };
  for (const { dict, path, type } of payloads) {
    for (const key of ['PayloadUUID', 'PayloadIdentifier']) {
      const value = dict.get(key);
      if (typeof value === 'string') once(`${key} ${value}`, `${path}.${key}`, `${value} stands twice in this profile`);
    }
    const variants = schema().payloads.get(type) ?? [];
    const single = variants.length > 0 && variants.every((variant) => variant.os?.[context.os]?.multiple === false);
    if (single) once(`type ${type}`, path, `a device takes one ${type}`);
  }
  return findings;
}
