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

/** A profile that labels decide about: places in `standing` of the labels it names. */
interface Conditional {
  readonly index: number;
  readonly mode: IncludeMode;
  readonly include: readonly number[];
  readonly exclude: readonly number[];
}

/** Labels get places in the order in which this team's profiles name them; what no profile names is not looked at. */
function compile(catalogue: Catalogue, profiles: readonly CatalogueProfile[]): Matcher {
  const places = new Map<number, number>();
  for (const profile of profiles)
    for (const id of [...profile.includeLabelIds, ...profile.excludeLabelIds])
      if (!places.has(id)) places.set(id, places.size);
  const placesOf = (ids: readonly number[]): number[] => ids.map((id) => places.get(id) as number);
  const conditional = profiles.flatMap((profile, index): Conditional[] => {
    const { includeMode: mode, includeLabelIds, excludeLabelIds } = profile;
    if (mode === 'none' && excludeLabelIds.length === 0) return [];
    return [{ index, mode, include: placesOf(includeLabelIds), exclude: placesOf(excludeLabelIds) }];
  });
  const timed = [...places].flatMap(([id, place]) => {
    const label = catalogue.labels.get(id);
    return label !== undefined && label.epoch <= 0 ? [] : [{ place, epoch: label?.epoch ?? Number.POSITIVE_INFINITY }];
  });
  timed.sort((one, other) => other.epoch - one.epoch);

  const standing = new Uint8Array(places.size);
  const answers = new Uint8Array(profiles.length);
  const answersByKind = kindTable(profiles);
  const known = compileKnown(profiles, conditional, places.size);
  const placeOf = (labelId: number | undefined): number => places.get(labelId as number) ?? -1;

  /** Answers whether one of these labels is named here. */
  function stand(labelIds: readonly number[], as: number): boolean {
    let named = false;
    for (let index = 0; index < labelIds.length; index += 1) {
      const place = placeOf(labelIds[index]);
      if (place < 0) continue;
      standing[place] = as;
      named = true;
    }
    return named;
  }

  function matchUnknown(): void {
    for (const { index, mode, include, exclude } of conditional) {
      let answer = mode === 'none' ? YES : mode === 'any' ? best(include, standing) : worst(include, standing);
      if (answer !== NO) answer = lessExcluded(answer, best(exclude, standing));
      answers[index] = answer;
    }
  }

  return {
    profiles,
    fingerprints: fingerprintsOf(catalogue, profiles),
    match(subject) {
      standing.fill(NO);
      stand(subject.labelIds, YES);
      let open = false;
      for (const { place, epoch } of timed) {
        if (epoch <= subject.labelEpoch) break;
        standing[place] = UNKNOWN;
        open = true;
      }
      if (stand(subject.unknownLabelIds, UNKNOWN)) open = true;
      answers.fill(YES);
      if (open) matchUnknown();
      else known(subject.labelIds, placeOf, answers);
      const kinds = answersByKind(subject);
      if (kinds !== undefined)
        for (let index = 0; index < answers.length; index += 1)
          if (answers[index] !== NO) answers[index] = Math.min(answers[index] as number, kinds[index] as number);
      return answers;
    },
  };
}

type Known = (
  labelIds: readonly number[],
  placeOf: (labelId: number | undefined) => number,
  answers: Uint8Array,
) => void;

/** Where no label is unknown: from the few labels of a host to the few profiles that name them, and not the other way. */
function compileKnown(
  profiles: readonly CatalogueProfile[],
  conditional: readonly Conditional[],
  labels: number,
): Known {
  const base = new Uint8Array(profiles.length).fill(YES);
  /** Labels that must hold: one for any, each of them for all. */
  const needed = new Uint16Array(profiles.length);
  const including: number[][] = Array.from({ length: labels }, () => []);
  const excluding: number[][] = Array.from({ length: labels }, () => []);
  for (const { index, mode, include, exclude } of conditional) {
    const distinct = new Set(include);
    if (mode !== 'none') {
      base[index] = NO;
      needed[index] = mode === 'any' ? 1 : distinct.size;
      for (const place of distinct) including[place]?.push(index);
    }
    for (const place of new Set(exclude)) excluding[place]?.push(index);
  }
  const left = new Uint16Array(profiles.length);

  function each(
    labelIds: readonly number[],
    placeOf: Parameters<Known>[1],
    lists: number[][],
    act: (index: number) => void,
  ) {
    for (let at = 0; at < labelIds.length; at += 1) {
      const place = placeOf(labelIds[at]);
      if (place < 0) continue;
      const list = lists[place] as number[];
      for (let item = 0; item < list.length; item += 1) act(list[item] as number);
    }
  }

  return (labelIds, placeOf, answers) => {
    answers.set(base);
    left.set(needed);
    each(labelIds, placeOf, including, (index) => {
      const still = left[index] as number;
      if (still === 1) answers[index] = YES;
      if (still > 0) left[index] = still - 1;
    });
    each(labelIds, placeOf, excluding, (index) => {
      answers[index] = NO;
    });
  };
}

/** YES where one label holds, else UNKNOWN where one may: NO < UNKNOWN < YES. */
function best(places: readonly number[], standing: Uint8Array): number {
  let answer = NO;
  for (let index = 0; index < places.length; index += 1) {
    const one = standing[places[index] as number] as number;
    if (one > answer) answer = one;
  }
  return answer;
}

/** NO where one label does not hold, else UNKNOWN where one may not. All of no labels is nobody. */
function worst(places: readonly number[], standing: Uint8Array): number {
  let answer = places.length === 0 ? NO : YES;
  for (let index = 0; index < places.length; index += 1) {
    const one = standing[places[index] as number] as number;
    if (one < answer) answer = one;
  }
  return answer;
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
