import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Database } from '../../db/database.ts';
import { eachDatabase } from '../support/databases.ts';
import { authority, command, createWorld, type Device, type World } from './world.ts';

/**
 * A Mac and the network between, against a model that knows only what Apple promises: every command is handed out until
 * it is answered, each result counts once, nothing overtakes but a deferral. Lost answers, repeats and late results
 * included; two replicas serve in turns.
 */

type Step =
  | { readonly kind: 'enqueue'; readonly user: boolean; readonly weighty: boolean }
  | { readonly kind: 'idle'; readonly user: boolean; readonly lost: boolean }
  /** Answer what the Mac holds. */
  | { readonly kind: 'answer'; readonly user: boolean; readonly status: string; readonly lost: boolean }
  /** A result sent again days later, or for nothing at all. */
  | { readonly kind: 'late'; readonly user: boolean; readonly about: number; readonly status: string };

const user = fc.boolean();
const lost = fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true));
const status = fc.constantFrom('Acknowledged', 'Error', 'CommandFormatError', 'NotNow', 'NotNow', 'Odd');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('enqueue' as const), user, weighty: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('idle' as const), user, lost }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('answer' as const), user, status, lost }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('late' as const), user, about: fc.nat(5), status }) },
);

class Channel {
  readonly waiting: string[] = [];
  readonly deferred = new Set<string>();
  readonly finished = new Map<string, string>();
  readonly orphans = new Set<string>();
  /** What the Mac has received and not answered. */
  held: string | undefined;
  weighty = new Set<string>();
  observations = 0;

  next(): string | undefined {
    return this.waiting.find((uuid) => !this.deferred.has(uuid));
  }

  reported(uuid: string, status: string): string | undefined {
    if (status === 'NotNow') {
      if (this.waiting.includes(uuid)) this.deferred.add(uuid);
      return this.next();
    }
    const at = this.waiting.indexOf(uuid);
    if (at >= 0) {
      this.waiting.splice(at, 1);
      this.deferred.delete(uuid);
      this.finished.set(uuid, status === 'Odd' ? 'Unknown' : status);
      if (this.weighty.has(uuid)) this.observations += 1;
    } else if (!this.finished.has(uuid)) {
      this.orphans.add(uuid);
    }
    return this.next();
  }
}

eachDatabase((_kind, open) => {
  let db: Database;
  const ca = authority('Device identity CA');
  beforeAll(async () => {
    db = await open();
  });
  afterAll(() => db.close());

  test('R2 R3 R5 CMD-01 CMD-02 CMD-03 NNW-01 the queue does what Apple promises', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
        const replicas = [createWorld(db, { authority: ca }), createWorld(db, { authority: ca })] as const;
        const [world] = replicas;
        const device = await world.device();
        await device.enrol();
        const names = { UserID: 'U', UserShortName: 'u', UserLongName: 'U' };
        await device.tokenUpdate(names);
        const model = { device: new Channel(), user: new Channel() };
        let turn = 0;
        for (const one of steps) {
          turn += 1;
          await take(
            replicas[turn % 2] ?? world,
            device,
            one,
            one.user ? model.user : model.device,
            one.user ? names : {},
          );
        }
        await compare(world, device.udid, model.device);
        await compare(world, `${device.udid}:U`, model.user);
        const observed = replicas.flatMap((replica) => replica.effects).filter((e) => e.kind === 'profiles_observed');
        expect(observed).toHaveLength(model.device.observations + model.user.observations);
      }),
      { numRuns: 25 },
    );
  });

  async function take(world: World, device: Device, one: Step, channel: Channel, names: Record<string, string>) {
    const report = (message: Record<string, string>) =>
      world.service
        .handle({
          method: 'PUT',
          contentType: 'application/x-apple-aspen-mdm',
          mdmSignature: undefined,
          peerCertificate: device.identity.der,
          body: Buffer.from(
            `<plist><dict>${Object.entries({ UDID: device.udid, ...names, ...message })
              .map(([key, value]) => `<key>${key}</key><string>${value}</string>`)
              .join('')}</dict></plist>`,
          ),
        })
        .then((answer) => {
          expect(answer.status).toBe(200);
          return /<key>CommandUUID<\/key><string>([^<]*)/.exec(answer.body.toString())?.[1];
        });
    switch (one.kind) {
      case 'enqueue': {
        const to = names['UserID'] === undefined ? device.udid : `${device.udid}:U`;
        const { commandUuid } = await world.enqueue.raw(command(one.weighty ? 'ProfileList' : 'SecurityInfo'), [to]);
        channel.waiting.push(commandUuid);
        if (one.weighty) channel.weighty.add(commandUuid);
        return;
      }
      case 'idle': {
        channel.deferred.clear();
        const got = await report({ Status: 'Idle' });
        expect(got).toBe(channel.next());
        if (!one.lost) channel.held = got;
        return;
      }
      case 'answer': {
        if (channel.held === undefined) return;
        const uuid = channel.held;
        const got = await report({ Status: one.status, CommandUUID: uuid });
        expect(got).toBe(channel.reported(uuid, one.status));
        // Answer lost: the Mac keeps its result and would send it again; here it forgets and polls, as after a restart.
        channel.held = one.lost ? undefined : got;
        return;
      }
      case 'late': {
        const uuid = [...channel.finished.keys()][one.about] ?? `stray-${one.about}-${names['UserID'] ?? ''}`;
        expect(await report({ Status: one.status, CommandUUID: uuid })).toBe(channel.reported(uuid, one.status));
        return;
      }
    }
  }

  async function compare(world: World, enrollmentId: string, channel: Channel) {
    const ref = (await world.store.enrollment(enrollmentId))?.ref ?? -1;
    const listed = await world.commands.list([ref], 1000);
    const of = (wanted: (view: (typeof listed)[number]) => boolean) =>
      new Set(listed.filter(wanted).map((view) => view.commandUuid));
    expect(of((view) => view.finishedAt === undefined)).toEqual(new Set(channel.waiting));
    expect(of((view) => view.orphan)).toEqual(channel.orphans);
    const finished = listed.filter((view) => view.finishedAt !== undefined && !view.orphan);
    expect(new Map(finished.map((view) => [view.commandUuid, view.state]))).toEqual(channel.finished);
    expect(finished).toHaveLength(channel.finished.size);
  }
});
