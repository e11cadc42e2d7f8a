import type { Catalogue } from './catalogue.ts';
import { osFits } from './gate.ts';
import { barredByKind } from './kind.ts';
import type { CatalogueProfile, GateSubject, IncludeMode } from './types.ts';

export const NO = 0;
/** Meant for it, and this kind or version of device cannot have it. */
export const BARRED = 1;
export const UNKNOWN = 2;
export const YES = 3;

/** The gate of a whole team and channel at once. Its answers are those of `judge`, without their reasons. */
export interface Matcher {
  readonly profiles: readonly CatalogueProfile[];
  /** Both halves of each profile's version, one after the other; undefined where the catalogue lacks a version. */
  readonly fingerprints: Int32Array | undefined;
  /** NO, BARRED, UNKNOWN or YES per profile. The array is reused by the next call. */
  match(subject: GateSubject): Uint8Array;
}

const matchers = new WeakMap<Catalogue, Map<string, Matcher>>();

/** Compiled once per catalogue; a new epoch is a new catalogue, so nothing here can be stale. */
export function matcherOf(catalogue: Catalogue, subject: Pick<GateSubject, 'teamId' | 'channel'>): Matcher {
  const compiled = matchers.get(catalogue) ?? new Map<string, Matcher>();
  matchers.set(catalogue, compiled);
  const key = `${subject.teamId} ${subject.channel}`;
  const known = compiled.get(key);
  if (known !== undefined) return known;
  const matcher = compile(catalogue, catalogue.profilesOf(subject.teamId, subject.channel));
  compiled.set(key, matcher);
  return matcher;
}

/** Labels as bits over the labels this team's profiles name: any = m&k != 0, all = m&k = k, exclude = m&k = 0 (scale.md §4). */
function compile(catalogue: Catalogue, profiles: readonly CatalogueProfile[]): Matcher {
  const bits = new Map<number, number>();
  for (const profile of profiles)
    for (const id of [...profile.includeLabelIds, ...profile.excludeLabelIds])
      if (!bits.has(id)) bits.set(id, bits.size);
  const words = Math.max(1, Math.ceil(bits.size / 32));
  const include = masks(profiles, words, bits, (profile) => profile.includeLabelIds);
  const exclude = masks(profiles, words, bits, (profile) => profile.excludeLabelIds);
  const timed = [...bits].flatMap(([id, bit]) => {
    const label = catalogue.labels.get(id);
    return label !== undefined && label.epoch <= 0 ? [] : [{ bit, epoch: label?.epoch ?? Number.POSITIVE_INFINITY }];
  });
  timed.sort((one, other) => other.epoch - one.epoch);

  const member = new Int32Array(words);
  const unknown = new Int32Array(words);
  const answers = new Uint8Array(profiles.length);
  const answersByKind = kindTable(profiles);
  const modes = profiles.map((profile) => profile.includeMode);

  return {
    profiles,
    fingerprints: fingerprintsOf(catalogue, profiles),
    match(subject) {
      member.fill(0);
      unknown.fill(0);
      for (const { bit, epoch } of timed) {
        if (epoch <= subject.labelEpoch) break;
        set(unknown, bit);
      }
      for (const id of subject.unknownLabelIds) setLabel(unknown, bits, id);
      for (const id of subject.labelIds) setLabel(member, bits, id);
      for (let word = 0; word < words; word += 1) member[word] = (member[word] as number) & ~(unknown[word] as number);
      const kinds = answersByKind(subject);
      for (let index = 0; index < profiles.length; index += 1) {
        const at = index * words;
        const mode = modes[index] as IncludeMode;
        let answer = mode === 'none' ? YES : includes(mode, include, at, member, unknown);
        if (answer !== NO) answer = lessExcluded(answer, touches(exclude, at, member, unknown));
        if (answer !== NO && kinds !== undefined) answer = Math.min(answer, kinds[index] as number);
        answers[index] = answer;
      }
      return answers;
    },
  };
}

function includes(mode: 'any' | 'all', masks: Int32Array, at: number, member: Int32Array, unknown: Int32Array): number {
  if (mode === 'any') return touches(masks, at, member, unknown);
  let answer = NO;
  let open = false;
  for (let word = 0; word < member.length; word += 1) {
    const mask = masks[at + word] as number;
    if (mask === 0) continue;
    answer = YES;
    if ((mask & ~(member[word] as number) & ~(unknown[word] as number)) !== 0) return NO;
    if ((mask & (unknown[word] as number)) !== 0) open = true;
  }
  return open ? UNKNOWN : answer;
}

/** YES where a member bit is in the mask, else UNKNOWN where an unknown one is, else NO. */
function touches(masks: Int32Array, at: number, member: Int32Array, unknown: Int32Array): number {
  let answer = NO;
  for (let word = 0; word < member.length; word += 1) {
    const mask = masks[at + word] as number;
    if ((mask & (member[word] as number)) !== 0) return YES;
    if ((mask & (unknown[word] as number)) !== 0) answer = UNKNOWN;
  }
  return answer;
}

function masks(
  profiles: readonly CatalogueProfile[],
  words: number,
  bits: ReadonlyMap<number, number>,
  idsOf: (profile: CatalogueProfile) => readonly number[],
): Int32Array {
  const all = new Int32Array(profiles.length * words);
  profiles.forEach((profile, index) => {
    const mask = all.subarray(index * words, (index + 1) * words);
    for (const id of idsOf(profile)) setLabel(mask, bits, id);
  });
  return all;
}

function fingerprintsOf(catalogue: Catalogue, profiles: readonly CatalogueProfile[]): Int32Array | undefined {
  const halves = new Int32Array(2 * profiles.length);
  for (const [index, { versionId }] of profiles.entries()) {
    const version = catalogue.versions.get(versionId);
    if (version === undefined) return undefined;
    halves.set([version.fingerprint.high, version.fingerprint.low], 2 * index);
  }
  return halves;
}

/** A member of an excluded label is out; one that may be is left open. */
function lessExcluded(answer: number, excluded: number): number {
  if (excluded === YES) return NO;
  return excluded === UNKNOWN ? Math.min(answer, UNKNOWN) : answer;
}

/** What is the same for all devices of one kind and version: a fleet has few. Undefined where it bars nobody. */
function kindTable(profiles: readonly CatalogueProfile[]): (subject: GateSubject) => Uint8Array | undefined {
  const picky = profiles.some(
    ({ minOs, maxOs, payloadTypes, targetDeviceType }) =>
      minOs !== undefined || maxOs !== undefined || payloadTypes.length > 0 || targetDeviceType !== undefined,
  );
  if (!picky) return () => undefined;
  const table = new Map<string, Uint8Array>();
  return (subject) => {
    const key = `${subject.osVersion} ${subject.platform} ${subject.userEnrollment}`;
    const known = table.get(key);
    if (known !== undefined) return known;
    const verdicts = Uint8Array.from(profiles, (profile) => answerByKind(profile, subject));
    if (table.size < 1000) table.set(key, verdicts);
    return verdicts;
  };
}

function answerByKind(profile: CatalogueProfile, subject: GateSubject): number {
  if (barredByKind(profile, subject) !== undefined) return BARRED;
  const fits = osFits(subject.osVersion, profile.minOs, profile.maxOs);
  return fits === 'no' ? BARRED : fits === 'unknown' ? UNKNOWN : YES;
}

function setLabel(mask: Int32Array, bits: ReadonlyMap<number, number>, labelId: number): void {
  const bit = bits.get(labelId);
  if (bit !== undefined) set(mask, bit);
}

function set(mask: Int32Array, bit: number): void {
  mask[bit >> 5] = (mask[bit >> 5] as number) | (1 << (bit & 31));
}
