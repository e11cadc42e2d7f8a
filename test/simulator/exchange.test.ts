import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { writePlistBytes } from '../../plist/write.ts';
import type { SimulatedMac } from '../../simulator/mac.ts';
import { aMac, rules, settled, wake } from './support/a-mac.ts';
import { type Answer, commandAnswer, makeWorld, TinyServer, type World, type Wrong } from './support/tiny-server.ts';

let world: World;
let server: TinyServer;
beforeAll(() => {
  world = makeWorld();
});
afterEach(() => server.close());

async function enrolled(wrong: Wrong = {}, options: Parameters<typeof aMac>[1] = {}): Promise<SimulatedMac> {
  server = await TinyServer.start(world);
  const mac = aMac(server, options);
  await mac.enroll(server.link);
  server.wrong = wrong;
  return mac;
}

const statuses = (): unknown[] => server.polls().map((poll) => poll.get('Status'));
const QUERY = { RequestType: 'DeviceInformation', Queries: ['UDID'] };

describe('when a Mac talks', () => {
  it('MAC-50 not by itself after enrolment, only after a push', async () => {
    const mac = await enrolled();
    server.add(QUERY);
    await settled(mac);
    expect(server.polls()).toEqual([]);
    await wake(mac, server);
    expect(statuses()).toEqual(['Idle', 'Acknowledged']);
    server.add(QUERY);
    await settled(mac);
    expect(statuses()).toHaveLength(2);
  });

  it('MAC-50 by itself after a NotNow that ended the exchange', async () => {
    const mac = await enrolled({}, { faults: { notNow: 0.7 }, seed: 'not now' });
    server.add(QUERY);
    await wake(mac, server);
    expect(statuses().filter((status) => status === 'NotNow').length).toBeGreaterThan(0);
    expect(statuses().at(-1)).toBe('Acknowledged');
    expect(mac.violations).toEqual([]);
  });

  it('MAC-50 not by itself when something else than NotNow ended the exchange', async () => {
    // macOS never answers NotNow to UserList, so its error is the last word of the exchange.
    const mac = await enrolled({}, { faults: { notNow: 1 } });
    server.add(QUERY);
    const other = { uuid: 'other', command: { RequestType: 'UserList' } };
    server.wrong = {
      poll: (message) => {
        if (message.get('Status') === 'Idle') return undefined;
        return message.get('Status') === 'NotNow' ? commandAnswer(other) : {};
      },
    };
    await wake(mac, server);
    expect(statuses()).toEqual(['Idle', 'NotNow', 'Error']);
  });

  it('MAC-70 a push with another magic wakes nobody', async () => {
    const mac = await enrolled();
    server.add(QUERY);
    expect(mac.push(mac.token('device') ?? '', 'not the magic')).toBe('wrong_magic');
    await settled(mac);
    expect(server.polls()).toEqual([]);
    expect(rules(mac)).toEqual(['MAC-70']);
  });

  it('MAC-50 a push before the answer to TokenUpdate is not lost', async () => {
    server = await TinyServer.start(world);
    const mac = aMac(server);
    server.wrong = {
      checkIn: (message) => {
        if (message.get('MessageType') === 'TokenUpdate') {
          mac.push(mac.token('device') ?? '', String(message.get('PushMagic')));
        }
        return {};
      },
    };
    await mac.enroll(server.link);
    await settled(mac);
    expect(statuses()).toEqual(['Idle']);
  });
});

describe('what ends an exchange', () => {
  it('MAC-52 204 is not "empty"', async () => {
    const mac = await enrolled({ poll: () => ({ status: 204 }) });
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-52']);
  });

  it('MAC-52 an empty dictionary is not "empty"', async () => {
    const mac = await enrolled({ poll: () => ({ type: 'application/xml', body: writePlistBytes({}) }) });
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-52']);
    expect(statuses()).toEqual(['Idle']);
  });

  it.each<[string, Answer]>([
    ['no property list', { type: 'application/xml', body: 'nothing' }],
    ['no CommandUUID', { type: 'application/xml', body: writePlistBytes({ Command: QUERY }) }],
    ['no Command', { type: 'application/xml', body: writePlistBytes({ CommandUUID: '1' }) }],
  ])('MAC-51 an answer with %s ends it', async (_, answer) => {
    const mac = await enrolled({ poll: () => answer });
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-51']);
    expect(statuses()).toEqual(['Idle']);
  });

  it('MAC-51 a command with a comment, or without its media type, is carried out and noted', async () => {
    const mac = await enrolled();
    const uuid = server.add(QUERY);
    const body = writePlistBytes({ CommandUUID: uuid, Command: QUERY })
      .toString()
      .replace('<dict>', '<!-- hi --><dict>');
    server.wrong = { poll: (message) => (message.get('Status') === 'Idle' ? { body } : {}) };
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-51', 'MAC-51']);
    expect(statuses()).toEqual(['Idle', 'Acknowledged']);
  });

  it('MAC-59 the command answered NotNow must not come again in the same exchange', async () => {
    const mac = await enrolled({}, { faults: { notNow: 1 } });
    const uuid = server.add(QUERY);
    let times = 0;
    server.wrong = {
      poll: () => (++times < 3 ? commandAnswer({ uuid, command: QUERY }) : times > 4 ? { status: 401 } : {}),
    };
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-59']);
  });

  it('MAC-60 a command is not handed out again once its result was accepted', async () => {
    const mac = await enrolled();
    const uuid = server.add(QUERY);
    await wake(mac, server);
    server.add(QUERY, uuid);
    await wake(mac, server);
    expect(rules(mac)).toEqual(['MAC-60']);
  });
});

describe('what a Mac keeps', () => {
  it('MAC-53 a result until a 2xx, and does not poll past it', async () => {
    let refusals = 3;
    const mac = await enrolled();
    const uuid = server.add(QUERY);
    server.wrong = {
      poll: (message) => (message.get('Status') !== 'Idle' && refusals-- > 0 ? { status: 500 } : undefined),
    };
    await wake(mac, server);
    expect(statuses()).toEqual(['Idle', 'Acknowledged', 'Acknowledged', 'Acknowledged', 'Acknowledged']);
    expect(
      new Set(
        server
          .polls()
          .slice(1)
          .map((poll) => poll.get('CommandUUID')),
      ),
    ).toEqual(new Set([uuid]));
    expect(mac.answered().map(({ acknowledged }) => acknowledged)).toEqual([true]);
  });

  it('MAC-53 the result across a restart, and delivers it without a push', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mac-'));
    const mac = await enrolled({}, { folder, sleep: () => new Promise(() => undefined) });
    const uuid = server.add(QUERY);
    server.wrong = { poll: (message) => (message.get('Status') === 'Idle' ? undefined : { status: 503 }) };
    const update = server.messages('TokenUpdate')[0];
    mac.push(mac.token('device') ?? '', String(update?.get('PushMagic')));
    await mac.quiet();
    expect(mac.answered()).toEqual([
      expect.objectContaining({ commandUuid: uuid, status: 'Acknowledged', acknowledged: false, deliveries: 1 }),
    ]);
    await mac.close();
    // The process died while the journal was written.
    appendFileSync(join(folder, 'answered.jsonl'), '{"channel":"device","comma');

    server.wrong = {};
    const again = aMac(server, { folder });
    expect(again.phase).toBe('enrolled');
    expect(again.identity.udid).toBe(mac.identity.udid);
    again.start();
    await settled(again);
    expect(server.results.map((result) => result.get('CommandUUID'))).toEqual([uuid]);
    expect(again.answered()).toEqual([expect.objectContaining({ commandUuid: uuid, acknowledged: true })]);
    await again.close();
    const third = aMac(server, { folder });
    expect(third.answered()).toEqual(again.answered());
    third.start();
    await settled(third);
    expect(server.results).toHaveLength(1);
    rmSync(folder, { recursive: true });
  });

  it('MAC-54 tries again with growing pauses', async () => {
    const pauses: number[] = [];
    const sleep = (ms: number): Promise<void> => {
      pauses.push(ms);
      return new Promise((resolve) => setImmediate(resolve));
    };
    const mac = await enrolled({}, { sleep, retryBaseMs: 1000, retryMaxMs: 4000 });
    server.add(QUERY);
    let refusals = 5;
    server.wrong = {
      poll: (message) => (message.get('Status') !== 'Idle' && refusals-- > 0 ? { status: 503 } : undefined),
    };
    await wake(mac, server);
    expect(statuses().at(-1)).toBe('Acknowledged');
    expect(pauses).toHaveLength(5);
    for (const [index, nominal] of [1000, 2000, 4000, 4000, 4000].entries()) {
      expect(pauses[index]).toBeGreaterThanOrEqual(nominal * 0.75);
      expect(pauses[index]).toBeLessThanOrEqual(nominal);
    }
  });

  it('MAC-53 a result when the connection was cut before the answer', async () => {
    const mac = await enrolled();
    const uuid = server.add(QUERY);
    let cuts = 4;
    server.wrong = {
      poll: (message) => (message.get('Status') !== 'Idle' && cuts-- > 0 ? { cut: true } : undefined),
    };
    await wake(mac, server);
    expect(server.results.map((result) => result.get('CommandUUID'))).toEqual([uuid]);
    expect(mac.answered()).toEqual([expect.objectContaining({ commandUuid: uuid, acknowledged: true })]);
  });

  it('MAC-50 nothing of an Idle that was not answered', async () => {
    const mac = await enrolled({ poll: () => ({ status: 500 }) });
    server.add(QUERY);
    await wake(mac, server);
    expect(statuses()).toEqual(['Idle']);
  });
});

describe('how management ends', () => {
  it('MAC-55 a 401 to a poll removes the enrolment profile and all that MDM installed', async () => {
    const mac = await enrolled();
    server.wrong = { poll: () => ({ status: 401 }) };
    await wake(mac, server);
    expect(mac.phase).toBe('unenrolled');
    expect(mac.profiles('device')).toEqual([]);
    expect(server.messages('CheckOut')).toEqual([]);
  });

  it.each([
    ['application/json', '{"code":"com.apple.unrecognized.device"}'],
    ['application/xml', writePlistBytes({ code: 'com.apple.unrecognized.device' })],
  ])('MAC-56 a 403 with the code of an unrecognized device does the same, as %s', async (type, body) => {
    const mac = await enrolled({ poll: () => ({ status: 403, type, body }) });
    await wake(mac, server);
    expect(mac.phase).toBe('unenrolled');
  });

  it('MAC-56 a 403 without that code does not', async () => {
    const mac = await enrolled({ poll: () => ({ status: 403, type: 'application/json', body: '{"code":"other"}' }) });
    await wake(mac, server);
    expect(mac.phase).toBe('enrolled');
  });
});
