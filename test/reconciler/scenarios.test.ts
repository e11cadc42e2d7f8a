/** What Macs really do to a server's picture of them: each from the first enrolment to the settled end, with real ticks. */
import { expect, test } from 'vitest';
import type { Observation, ObservedProfile } from '../../core/effects.ts';
import { driftStore } from '../../db/drift-read.ts';
import { reconcileStore } from '../../db/reconcile-store.ts';
import { createCurrentCatalogue } from '../../reconciler/current-catalogue.ts';
import { createDriftReads } from '../../reconciler/drift-reads.ts';
import { createHandlers, type HandlerDeps, type ReconcilerHandlers } from '../../reconciler/handlers.ts';
import { pairEvidence } from '../../reconciler/pair-evidence.ts';
import { DEFAULT_SETTINGS } from '../../reconciler/settings.ts';
import type { Reconciler } from '../../reconciler/tick.ts';
import type { PairEvidence } from '../../reconciler/types.ts';
import { eachDatabase } from '../support/databases.ts';
import { Fleet, type Mac } from './fleet.ts';
import { digest, MINUTE } from './world.ts';

const HOUR = 60 * MINUTE;
const AFTER_GRACE = DEFAULT_SETTINGS.verifyGraceMs + MINUTE;
const JAMF = '00000000-0000-0000-A000-4A414D460003';

/** One Mac and its server, with the questions the scenarios ask. */
class Scene {
  readonly fleet: Fleet;
  readonly reconciler: Reconciler;
  constructor(fleet: Fleet) {
    this.fleet = fleet;
    this.reconciler = fleet.reconciler();
  }

  mac(options?: { team?: number }): Promise<Mac> {
    return this.fleet.mac(this.reconciler, options);
  }

  async state(mac: Mac, identifier: string): Promise<string | undefined> {
    return (await this.reconciler.reads.hostProfiles(mac.hostId)).profiles.find(
      (pair) => pair.identifier === identifier,
    )?.state;
  }

  async reason(mac: Mac, identifier: string): Promise<string | undefined> {
    return (await this.reconciler.reads.why(mac.hostId, identifier))[0]?.reason;
  }

  /** Ticks, and the Mac does and acknowledges what it is told. Answers what it was told, ProfileLists left out. */
  async live(mac: Mac): Promise<string[]> {
    await this.reconciler.tick();
    await this.fleet.learnVersions();
    const told: string[] = [];
    for (let command = await this.fleet.fetch(mac); command !== undefined; command = await this.fleet.fetch(mac)) {
      if (command.says !== 'list') told.push(await this.#named(command.says));
      this.fleet.obey(mac, command.says);
      await this.fleet.answer(this.reconciler, mac, command.uuid);
    }
    return told;
  }

  async #named(says: string): Promise<string> {
    const [verb, what = ''] = says.split(' ');
    return verb === 'install' ? `install ${this.fleet.versions.get(Number(what))?.identifier ?? what}` : says;
  }

  /** Ticks, acknowledges, and lets an agent report after the grace. */
  async settle(mac: Mac): Promise<string[]> {
    const told = await this.live(mac);
    this.fleet.clock.forward(AFTER_GRACE);
    await this.fleet.report(this.reconciler, mac);
    return told;
  }

  /** A report of these profiles and the enrolment profile. */
  async see(
    mac: Mac,
    profiles: readonly Partial<ObservedProfile>[],
    source: 'osquery' | 'profile_list' = 'osquery',
  ): Promise<void> {
    const none = { identifier: '', uuid: '', displayName: undefined, installedAt: undefined };
    const own = { ...none, identifier: 'com.example.enrolment', uuid: 'E' };
    await this.observe(
      mac,
      { state: 'rows', profiles: [own, ...profiles.map((one) => ({ ...none, ...one }))] },
      source,
    );
  }

  async observe(mac: Mac, observation: Observation, source: 'osquery' | 'profile_list' = 'osquery'): Promise<void> {
    const { enrollment } = mac;
    await this.fleet.db.run((tx) =>
      this.reconciler.handlers.onProfilesObserved(tx, { kind: 'profiles_observed', enrollment, source, observation }),
    );
  }

  async drift(): Promise<string[]> {
    const reads = createDriftReads({ store: driftStore(this.fleet.db), clock: this.fleet.clock });
    const { items } = await reads.page({ teamId: undefined, kind: undefined, after: undefined, limit: 100 });
    return items.map(({ kind, identifier }) => `${kind} ${identifier}`);
  }

  async evidence(mac: Mac, identifier: string): Promise<PairEvidence | undefined> {
    const now = this.fleet.clock.now();
    const host = await reconcileStore(this.fleet.db).readHost(mac.hostId);
    const read = host?.channels.find((one) => one.facts.row.enrollment === mac.enrollment);
    const pair = (await this.reconciler.reads.hostProfiles(mac.hostId)).profiles.find(
      (one) => one.identifier === identifier,
    );
    if (read === undefined || pair === undefined) return undefined;
    const { row } = read.facts;
    const { heldVersionId, op } = pair;
    return pairEvidence({ row, identifier, heldVersionId, op, content: read.content }, now, DEFAULT_SETTINGS);
  }
}

/** Handlers beside the reconciler's own, over the same rows. */
function handlersOf({ fleet }: Scene, more: Partial<HandlerDeps>): ReconcilerHandlers {
  const store = reconcileStore(fleet.db);
  return createHandlers({
    store,
    catalogue: createCurrentCatalogue(store, { digest }),
    clock: fleet.clock,
    settings: DEFAULT_SETTINGS,
    expectedPolicies: undefined,
    wakeAfter: () => undefined,
    ...more,
  });
}

eachDatabase((_kind, open) => {
  const scene = (name: string, work: (scene: Scene) => Promise<void>) =>
    test(name, async () => {
      const db = await open();
      try {
        const fleet = new Fleet(db);
        await work(new Scene(fleet));
        await fleet.invariants();
      } finally {
        await db.close();
      }
    });
  /** Two profiles, both verified. */
  async function settledMac(one: Scene): Promise<{ mac: Mac; a: number; b: number }> {
    const mac = await one.mac();
    const a = await one.fleet.upload({ identifier: 'a' });
    const b = await one.fleet.upload({ identifier: 'b' });
    await one.settle(mac);
    expect([await one.state(mac, 'a'), await one.state(mac, 'b')]).toEqual(['verified', 'verified']);
    return { mac, a, b };
  }

  scene('an erased Mac gets everything again, and nothing is taken for granted in between', async (one) => {
    const { mac } = await settledMac(one);
    mac.holds.clear();
    await one.fleet.reenrol(one.reconciler, mac);
    expect(await one.state(mac, 'a')).not.toBe('verified');
    expect(await one.settle(mac)).toEqual(['install a', 'install b']);
    expect([await one.state(mac, 'a'), await one.state(mac, 'b')]).toEqual(['verified', 'verified']);
    expect(await one.drift()).toEqual([]);
  });

  scene(
    're-enrolled in place: what the list proves is not installed again, what we once delivered goes',
    async (one) => {
      const { mac, b } = await settledMac(one);
      const elsewhere = await one.fleet.team('Elsewhere');
      await one.fleet.upload({ identifier: 'c', team: elsewhere });
      await one.fleet.reenrol(one.reconciler, mac);
      await one.fleet.remove(b);
      mac.holds.set('com.vendor.vpn', 'VENDOR');
      mac.holds.set('c', 'NOBODY');
      expect(await one.settle(mac)).toEqual([]);
      expect(await one.settle(mac)).toEqual(['remove b']);
      expect(await one.state(mac, 'a')).toBe('verified');
      expect([...mac.holds.keys()]).toEqual(['a', 'com.vendor.vpn', 'c']);
      expect(await one.drift()).toEqual(['left_over c', 'foreign com.vendor.vpn']);
      expect(await one.live(mac)).toEqual([]);
    },
  );

  scene(
    'a Migration-Assistant copy: another Mac, a dead enrolment profile, and what the device will not give up',
    async (one) => {
      const { mac: old } = await settledMac(one);
      const mac = await one.mac({ team: await one.fleet.team('New') });
      for (const [identifier, uuid] of old.holds) mac.holds.set(identifier, uuid);
      mac.holds.set(JAMF, 'DEAD');
      await one.reconciler.tick();
      await one.see(
        mac,
        [...mac.holds].map(([identifier, uuid]) => ({ identifier, uuid })),
      );
      await one.reconciler.tick();
      await one.fleet.learnVersions();
      for (let command = await one.fleet.fetch(mac); command !== undefined; command = await one.fleet.fetch(mac)) {
        if (command.says === 'remove b')
          await one.fleet.answer(one.reconciler, mac, command.uuid, 'Error', [
            { domain: 'MCMDMErrorDomain', code: 12013, description: 'not managed' },
          ]);
        else {
          one.fleet.obey(mac, command.says);
          await one.fleet.answer(one.reconciler, mac, command.uuid);
        }
      }
      one.fleet.clock.forward(AFTER_GRACE);
      await one.fleet.report(one.reconciler, mac);
      expect([...mac.holds.keys()]).toEqual(['b', JAMF]);
      expect(await one.drift()).toEqual(['not_ours b', `left_over ${JAMF}`]);
      expect(await one.reason(mac, JAMF)).toMatch(
        /left there by another MDM server, an earlier enrolment or a copied Mac/,
      );
      expect(await one.live(mac)).toEqual([]);
    },
  );

  scene(
    "another server's leftovers: replaced where the identifier is wanted, shown and untouched where not",
    async (one) => {
      const mac = await one.mac();
      await one.fleet.upload({ identifier: 'a' });
      await one.fleet.upload({ identifier: 'theirs', team: await one.fleet.team('Elsewhere') });
      mac.holds.set('a', 'THEIR-A');
      mac.holds.set('theirs', 'THEIR-CONTENT');
      mac.holds.set('com.fleetdm.caroot', 'ROOT');
      expect(await one.settle(mac)).toEqual(['install a']);
      expect(await one.state(mac, 'a')).toBe('verified');
      expect(await one.drift()).toEqual(['left_over com.fleetdm.caroot', 'left_over theirs']);
      expect(mac.holds.get('theirs')).toBe('THEIR-CONTENT');
      expect(await one.evidence(mac, 'theirs')).toMatchObject({ level: 'present', source: 'osquery' });
      expect(await one.live(mac)).toEqual([]);
    },
  );

  scene('an acknowledgement that never comes: the report settles it, whatever state the op is in', async (one) => {
    const mac = await one.mac();
    const profile = await one.fleet.upload({ identifier: 'a' });
    await one.reconciler.tick();
    await one.fleet.learnVersions();
    for (let command = await one.fleet.fetch(mac); command?.says === 'list'; command = await one.fleet.fetch(mac))
      await one.fleet.answer(one.reconciler, mac, command.uuid);
    const [version] = [...one.fleet.versions.keys()];
    one.fleet.obey(mac, `install ${version}`);
    await one.fleet.report(one.reconciler, mac);
    expect(await one.state(mac, 'a')).toBe('verified');
    expect(await one.fleet.liveCommands()).toEqual([]);
    // The same for a removal.
    await one.fleet.remove(profile);
    await one.reconciler.tick();
    await one.fleet.fetch(mac);
    mac.holds.delete('a');
    await one.fleet.report(one.reconciler, mac);
    expect(await one.fleet.ops(mac)).toEqual([]);
    expect(await one.fleet.liveCommands()).toEqual([]);
  });

  scene('late, duplicate and older answers change nothing', async (one) => {
    const mac = await one.mac();
    const profile = await one.fleet.upload({ identifier: 'a' });
    await one.live(mac);
    const before = await one.fleet.ops(mac);
    const late = (generation: number, enrollmentGeneration: number) =>
      one.fleet.db.run((tx) =>
        one.reconciler.handlers.onOpSettled(tx, {
          kind: 'op_settled',
          enrollment: mac.enrollment,
          enrollmentGeneration,
          op: { slot: before[0]?.slot_id ?? 0, generation },
          outcome: 'Error',
          errorChain: [{ domain: 'MCProfileErrorDomain', code: 1000, description: 'x' }],
        }),
      );
    const generation = before[0]?.generation ?? 0;
    await late(generation, 1);
    expect(await one.fleet.ops(mac)).toEqual(before);
    await one.fleet.edit(profile);
    await one.reconciler.tick();
    const newer = await one.fleet.ops(mac);
    expect(newer[0]?.generation).toBeGreaterThan(generation);
    await late(generation, 1);
    await late(newer[0]?.generation ?? 0, 0);
    expect(await one.fleet.ops(mac)).toEqual(newer);
    await one.settle(mac);
    expect(await one.state(mac, 'a')).toBe('verified');
  });

  scene('removed by hand: said, counted, installed again, and forgotten once it is verified', async (one) => {
    const { mac } = await settledMac(one);
    mac.holds.delete('a');
    await one.fleet.report(one.reconciler, mac);
    expect(await one.drift()).toEqual(['removed_by_hand a']);
    expect(await one.reason(mac, 'a')).toMatch(/somebody or something on the Mac removed it/);
    expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'absent', source: 'osquery' });
    expect(await one.live(mac)).toEqual(['install a']);
    expect((await one.fleet.ops(mac)).map(({ state, reason }) => [state, reason])).toEqual([
      ['acked', 'removed_by_hand'],
    ]);
    one.fleet.clock.forward(AFTER_GRACE);
    await one.fleet.report(one.reconciler, mac);
    expect(await one.state(mac, 'a')).toBe('verified');
    expect(await one.drift()).toEqual([]);
  });

  scene('other content put in place of a verified profile is replaced, and says so', async (one) => {
    const { mac } = await settledMac(one);
    mac.holds.set('a', 'SOMEBODY');
    await one.fleet.report(one.reconciler, mac);
    expect(await one.drift()).toEqual(['replaced_by_hand a']);
    expect(await one.settle(mac)).toEqual(['install a']);
    expect(await one.state(mac, 'a')).toBe('verified');
  });

  scene('an identifier listed twice: verified if one of them is ours, and shown', async (one) => {
    const { mac } = await settledMac(one);
    const ours = [...mac.holds].map(([identifier, uuid]) => ({ identifier, uuid }));
    await one.see(mac, [{ identifier: 'a', uuid: 'OTHER' }, ...ours]);
    expect(await one.state(mac, 'a')).toBe('verified');
    expect(await one.drift()).toEqual(['duplicate a']);
    expect(await one.live(mac)).toEqual([]);
    await one.see(mac, ours);
    expect(await one.drift()).toEqual([]);
  });

  scene(
    'an iPad has no agent: ProfileList alone verifies, two minutes after the acknowledgement and then daily',
    async (one) => {
      const mac = await one.mac();
      await one.fleet.upload({ identifier: 'a' });
      expect(await one.live(mac)).toEqual(['install a']);
      expect(await one.state(mac, 'a')).toBe('verifying');
      await one.reconciler.tick();
      expect(await one.fleet.liveCommands()).toEqual([]);
      one.fleet.clock.forward(DEFAULT_SETTINGS.profileListDelayMs);
      await one.live(mac);
      expect(await one.state(mac, 'a')).toBe('verified');
      expect(await one.evidence(mac, 'a')).toEqual({
        level: 'version',
        source: 'ProfileList',
        at: one.fleet.clock.now(),
      });
      one.fleet.clock.forward(DEFAULT_SETTINGS.profileListEveryMs);
      await one.reconciler.audit();
      expect((await one.fleet.liveCommands()).map(({ request_type }) => request_type)).toEqual(['ProfileList']);
    },
  );

  scene('the user channel is verified by its own ProfileList, and by fleetd where it reports users', async (one) => {
    const mac = await one.mac();
    const user = await one.fleet.user(one.reconciler, mac);
    await one.fleet.upload({ identifier: 'u', channel: 'user' });
    await one.live(user);
    // What the agent says of the computer says nothing of the user.
    one.fleet.clock.forward(AFTER_GRACE);
    await one.fleet.report(one.reconciler, mac);
    expect(await one.state(mac, 'u')).toBe('verifying');
    await one.live(user);
    expect(await one.state(mac, 'u')).toBe('verified');
    expect(await one.evidence(user, 'u')).toMatchObject({ level: 'version', source: 'ProfileList' });

    const uuid = user.holds.get('u') ?? '';
    one.fleet.clock.forward(MINUTE);
    await one.observe(user, {
      state: 'rows',
      profiles: [{ identifier: 'u', uuid, displayName: '', installedAt: undefined }],
    });
    expect(await one.evidence(user, 'u')).toMatchObject({ level: 'version', source: 'osquery' });
    await one.observe(user, { state: 'zero_rows' });
    expect(await one.state(mac, 'u')).toBe('verified');
  });

  scene('an agent that loses its table: what was left to it goes to ProfileList at once', async (one) => {
    const { mac } = await settledMac(one);
    await one.fleet.upload({ identifier: 'c' });
    expect(await one.live(mac)).toEqual(['install c']);
    one.fleet.clock.forward(DEFAULT_SETTINGS.profileListDelayMs);
    expect(await one.live(mac)).toEqual([]);
    expect(await one.state(mac, 'c')).toBe('verifying');
    await one.observe(mac, { state: 'table_absent' });
    expect(await one.state(mac, 'a')).toBe('verified');
    await one.live(mac);
    expect(await one.state(mac, 'c')).toBe('verified');
    expect(await one.evidence(mac, 'c')).toMatchObject({ source: 'ProfileList' });
  });

  scene('an agent that dies: fresh, then stale, and ProfileList takes over', async (one) => {
    const { mac } = await settledMac(one);
    one.fleet.clock.forward(DEFAULT_SETTINGS.agentFreshMs - MINUTE);
    await one.reconciler.audit();
    expect(await one.fleet.liveCommands()).toEqual([]);
    // It dies just after an acknowledgement that was left to it.
    await one.fleet.upload({ identifier: 'c' });
    await one.live(mac);
    one.fleet.clock.forward(DEFAULT_SETTINGS.agentPatienceMs);
    await one.live(mac);
    expect(await one.state(mac, 'c')).toBe('verified');
    one.fleet.clock.forward(DEFAULT_SETTINGS.profileListEveryMs);
    await one.reconciler.audit();
    await one.live(mac);
    expect(await one.evidence(mac, 'a')).toEqual({
      level: 'version',
      source: 'ProfileList',
      at: one.fleet.clock.now(),
    });
  });

  scene(
    'nobody to confirm it: after a day it says so in place of verifying for ever, and a report still heals it',
    async (one) => {
      const mac = await one.mac();
      await one.fleet.upload({ identifier: 'a' });
      await one.live(mac);
      for (let hours = 0; hours < 26; hours += 1) {
        one.fleet.clock.forward(HOUR);
        await one.reconciler.tick();
      }
      expect(
        (await one.fleet.ops(mac)).map(({ state, reason, verify_misses }) => [state, reason, verify_misses]),
      ).toEqual([['acked', 'no_observer', 0]]);
      expect(await one.state(mac, 'a')).toBe('verifying');
      expect(await one.reason(mac, 'a')).toMatch(/nobody can confirm it/);
      expect(await one.evidence(mac, 'a')).toBeUndefined();
      // One ProfileList waits, not one for each time it was asked.
      expect(await one.fleet.liveCommands()).toHaveLength(1);
      await one.live(mac);
      expect(await one.state(mac, 'a')).toBe('verified');
    },
  );

  scene('a report before the grace is over burns no retry and sends nothing', async (one) => {
    const mac = await one.mac();
    await one.fleet.upload({ identifier: 'a' });
    await one.live(mac);
    for (let early = 0; early < 5; early += 1) await one.see(mac, []);
    expect((await one.fleet.ops(mac)).map(({ state, verify_misses }) => [state, verify_misses])).toEqual([
      ['acked', 0],
    ]);
    expect(await one.live(mac)).toEqual([]);
    one.fleet.clock.forward(AFTER_GRACE);
    await one.fleet.report(one.reconciler, mac);
    expect(await one.state(mac, 'a')).toBe('verified');
  });

  scene(
    'content changed on the device under the same UUID is shown and changes no state; a new build starts anew',
    async (one) => {
      const { mac } = await settledMac(one);
      const report = (osBuild: string, checksum: string) =>
        one.observe(mac, {
          state: 'rows',
          osBuild,
          profiles: [...mac.holds].map(([identifier, uuid]) => ({
            identifier,
            uuid,
            displayName: undefined,
            installedAt: undefined,
            checksum: identifier === 'a' ? checksum : 'same',
          })),
        });
      await report('24B83', 'one');
      expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'unchanged', source: 'osquery' });
      await report('24B83', 'two');
      expect(await one.state(mac, 'a')).toBe('verified');
      expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'version', note: expect.stringMatching(/changed/) });
      expect(await one.evidence(mac, 'b')).toMatchObject({ level: 'unchanged' });
      expect(await one.drift()).toEqual(['content_changed a']);
      expect(await one.live(mac)).toEqual([]);
      await report('24C101', 'two');
      expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'unchanged' });
      expect(await one.drift()).toEqual([]);
      // An agent without the column says nothing of contents any more.
      await one.fleet.report(one.reconciler, mac);
      expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'version' });
    },
  );

  scene('an hourly report that says what is known writes the observer only', async (one) => {
    const { mac } = await settledMac(one);
    mac.holds.set('com.vendor.x', 'X');
    mac.holds.set('com.vendor.y', 'Y');
    const profiles = [...mac.holds].map(([identifier, uuid]) => ({ identifier, uuid, checksum: 'c' }));
    await one.see(mac, profiles);
    const written: string[] = [];
    const handlers = handlersOf(one, {
      store: new Proxy(reconcileStore(one.fleet.db), {
        get(target, name) {
          if (/^(write|enqueue|forget)/.test(String(name))) written.push(String(name));
          return Reflect.get(target, name);
        },
      }),
    });
    one.fleet.clock.forward(HOUR);
    const none = { displayName: undefined, installedAt: undefined };
    const own = { ...none, identifier: 'com.example.enrolment', uuid: 'E' };
    await one.fleet.db.run((tx) =>
      handlers.onProfilesObserved(tx, {
        kind: 'profiles_observed',
        enrollment: mac.enrollment,
        source: 'osquery',
        observation: { state: 'rows', profiles: [own, ...profiles.map((p) => ({ ...none, ...p }))].toReversed() },
      }),
    );
    expect(written).toEqual(['writeObserver']);
  });

  scene('managed policies show what is in force, and change no state', async (one) => {
    const { mac } = await settledMac(one);
    const versions = [...one.fleet.versions].map(([id, { identifier }]) => [identifier, id] as const);
    const version = new Map(versions);
    const expected = new Map([[version.get('a') ?? 0, [{ domain: 'com.vendor.app', keys: ['Auto', 'Server'] }]]]);
    const handlers = handlersOf(one, {
      expectedPolicies: async (_tx, ids) => new Map(ids.map((id) => [id, expected.get(id) ?? []])),
    });
    const policies = (...names: string[]) =>
      one.fleet.db.run((tx) =>
        handlers.onPoliciesObserved(tx, {
          kind: 'policies_observed',
          enrollment: mac.enrollment,
          policies: names.map((name) => ({ domain: 'com.Vendor.App', name })),
        }),
      );
    await policies('Auto');
    expect(await one.evidence(mac, 'a')).toMatchObject({
      level: 'version',
      note: 'not in force on the device: com.vendor.app Server',
    });
    expect(await one.state(mac, 'a')).toBe('verified');
    expect(await one.live(mac)).toEqual([]);
    one.fleet.clock.forward(MINUTE);
    await policies('Server', 'Auto', 'Else');
    expect(await one.evidence(mac, 'a')).toEqual({ level: 'effective', source: 'osquery', at: one.fleet.clock.now() });
    expect(await one.evidence(mac, 'b')).toMatchObject({ level: 'version' });
    mac.holds.clear();
    await one.fleet.reenrol(one.reconciler, mac);
    await one.settle(mac);
    expect(await one.evidence(mac, 'a')).toMatchObject({ level: 'version' });
  });
});
