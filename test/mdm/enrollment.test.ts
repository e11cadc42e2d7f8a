import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide, type Occasion } from '../../mdm/enrollment.ts';
import { standingOf } from '../../mdm/standing.ts';
import type { Binding, Claimant, EnrollmentRecord, EnrollmentState, Known } from '../../mdm/types.ts';

const who = (channel: 'device' | 'user'): Claimant => ({
  enrollmentId: channel === 'device' ? 'A' : 'A:u',
  deviceKey: 'A',
  type: channel === 'device' ? 'Device' : 'User',
  channel,
  udid: 'A',
  userId: undefined,
  userShortName: undefined,
  userLongName: undefined,
});

const occasion: fc.Arbitrary<Occasion> = fc
  .tuple(fc.constantFrom<'device' | 'user'>('device', 'user'), fc.constantFrom('topic', 'other'), fc.option(serial()))
  .chain(([channel, topic, named]) => {
    const facts = {
      serialNumber: named ?? undefined,
      deviceName: undefined,
      model: undefined,
      modelName: undefined,
      productName: undefined,
      osVersion: undefined,
      buildVersion: undefined,
    };
    return fc.constantFrom<Occasion>(
      { type: 'Authenticate', who: who(channel), topic, facts },
      {
        type: 'TokenUpdate',
        who: who(channel),
        topic,
        token: Buffer.alloc(1),
        pushMagic: 'm',
        unlockToken: undefined,
        awaitingConfiguration: undefined,
      },
      { type: 'CheckOut', who: who(channel) },
      { type: 'SetBootstrapToken', who: who(channel), token: undefined, awaitingConfiguration: undefined },
      { type: 'GetBootstrapToken', who: who(channel), awaitingConfiguration: undefined },
      { type: 'Report', who: who(channel) },
    );
  });

function serial(): fc.Arbitrary<string> {
  return fc.constantFrom('S1', 'S2');
}

const record = (ref: number): fc.Arbitrary<EnrollmentRecord> =>
  fc.record({
    ref: fc.constant(ref),
    state: fc.constantFrom<EnrollmentState>('authenticated', 'enrolled', 'ended'),
    generation: fc.integer({ min: 1, max: 3 }),
    topic: fc.constant('topic'),
    binding: fc.constantFrom<Binding>('intent', 'link_only', 'apple_signed'),
    hostId: fc.constant(`host-${ref}`),
    serialNumber: fc.option(serial(), { nil: undefined }),
    tokenUpdateCount: fc.integer({ min: 0, max: 2 }),
  });

const known: fc.Arbitrary<Known> = fc.record({
  certificate: fc.option(
    fc.record({
      standing: fc.constantFrom<'unbound' | 'current' | 'superseded' | 'quarantined'>(
        'unbound',
        'current',
        'superseded',
        'quarantined',
      ),
      revoked: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
      pinnedTo: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
      challenge: fc.record({
        serialNumber: fc.option(serial(), { nil: undefined }),
        renews: fc.option(fc.constantFrom(1, 2), { nil: undefined }),
      }),
    }),
    { nil: undefined },
  ),
  validity: fc.constantFrom<'valid' | 'expired' | 'not_yet_valid'>('valid', 'expired', 'not_yet_valid'),
  device: fc.option(record(1), { nil: undefined }),
  user: fc.option(record(3), { nil: undefined }),
  rival: fc.option(record(2), { nil: undefined }),
});

const CHANGES = new Set(['enrol', 'reenrol', 'renew', 'go_live', 'user_live', 'user_wait', 'end', 'refresh']);

describe('the table', () => {
  test('R21 AUT-03 only a certificate that speaks for the device changes or receives anything of it', () => {
    fc.assert(
      fc.property(known, occasion, (facts, message) => {
        const standing = standingOf(facts);
        const { act, promote } = decide(facts, message);
        const { certificate, device } = facts;
        if (certificate === undefined || certificate.revoked || certificate.standing === 'superseded') {
          expect(act.kind).toBe('refuse');
        }
        if (certificate?.standing === 'quarantined' && !certificate.revoked) expect(act).toEqual({ kind: 'ignore' });
        if (standing.kind !== 'proven') {
          expect(promote).toBe(false);
          expect(['serve', 'give_bootstrap_token', 'store_bootstrap_token', 'end', 'go_live', 'refresh']).not.toContain(
            act.kind,
          );
        } else {
          expect(certificate?.pinnedTo).toBe(device?.ref);
        }
        if (act.kind === 'refuse') expect(promote).toBe(false);
      }),
      { numRuns: 5000 },
    );
  });

  test('AUT-03 a fresh certificate takes a live enrolment only where its challenge names the serial number on record', () => {
    fc.assert(
      fc.property(known, occasion, (facts, message) => {
        const { certificate, device, rival } = facts;
        if (standingOf(facts).kind !== 'first_use' || message.type !== 'Authenticate') return;
        const { act } = decide(facts, message);
        if (!CHANGES.has(act.kind)) return;
        if (certificate?.challenge.renews !== undefined) {
          expect(device?.ref).toBe(certificate.challenge.renews);
          return;
        }
        for (const incumbent of [device, rival]) {
          if (incumbent?.state !== 'enrolled') continue;
          expect(certificate?.challenge.serialNumber).toBeDefined();
          expect(incumbent.serialNumber).toBe(certificate?.challenge.serialNumber);
        }
      }),
      { numRuns: 5000 },
    );
  });

  test('SIG-07 an identity outside its validity never begins an enrolment', () => {
    fc.assert(
      fc.property(known, occasion, fc.constantFrom('expired', 'not_yet_valid'), (facts, message, validity) => {
        if (facts.certificate === undefined) return;
        const certificate = { ...facts.certificate, standing: 'unbound', revoked: false, pinnedTo: undefined } as const;
        const { act } = decide({ ...facts, certificate, validity }, message);
        expect(['enrol', 'reenrol', 'renew', 'quarantine']).not.toContain(act.kind);
      }),
      { numRuns: 1000 },
    );
  });

  test('R4 a report of a proven identity is never refused, and served only where channel and device are live', () => {
    fc.assert(
      fc.property(known, occasion, (facts, message) => {
        const { act } = decide(facts, message);
        if (message.type !== 'Report' || standingOf(facts).kind !== 'proven') return;
        expect(['serve', 'record']).toContain(act.kind);
        const live =
          facts.device?.state === 'enrolled' && (message.who.channel === 'device' || facts.user?.state === 'enrolled');
        expect(act.kind === 'serve').toBe(live);
      }),
    );
  });

  test('TOK-05 the first TokenUpdate of a generation is told from later ones by the counter', () => {
    fc.assert(
      fc.property(known, occasion, (facts, message) => {
        const { act } = decide(facts, message);
        if (act.kind === 'go_live') expect(act.first).toBe(facts.device?.tokenUpdateCount === 0);
      }),
    );
  });
});
