import { describe, expect, test } from 'vitest';
import { authenticate, checkOut, tokenUpdate } from '../../simulator/check-in.ts';
import { Device } from '../../simulator/device.ts';
import { makeIdentity, makeUser } from '../../simulator/identity.ts';
import { isAllowedOn } from '../../simulator/payload-types.ts';
import { SeededRandom } from '../../simulator/random.ts';
import { type MacRequest, type MacResponse, Transport } from '../../simulator/transport.ts';
import { payloadTypesOnlyOn } from './apple-schema/channels.ts';
import { createWireTap, loadSchema, type WireTap } from './apple-schema/index.ts';

const schema = loadSchema();

/** Hears what a Mac says instead of sending it, and accepts everything. */
class Ear extends Transport {
  readonly #tap: WireTap;

  constructor(tap: WireTap) {
    super({ roots: [] });
    this.#tap = tap;
  }

  override async send({ headers = {}, body = Buffer.alloc(0) }: MacRequest): Promise<MacResponse> {
    const contentType = headers['content-type'] ?? '';
    this.#tap.exchange({ contentType, requestBody: body, status: 200, responseBody: Buffer.alloc(0) });
    return { status: 200, mediaType: '', body: Buffer.alloc(0) };
  }
}

class HeardMac extends Device {
  readonly #ear: Ear;

  constructor(seed: number, accessRights: number, tap: WireTap) {
    const random = new SeededRandom(`conformance ${seed}`);
    const identity = makeIdentity(random, seed);
    const keyPair = (): Promise<never> => Promise.reject(new Error('nothing is signed here'));
    super({ identity, keyPair, enrollmentRoots: [], random });
    this.#ear = new Ear(tap);
    this.state.user = { ...this.newChannel(), account: makeUser(random, seed) };
    this.setEnrolled({
      profileIdentifier: 'com.example.enrollment',
      mdm: {
        topic: 'com.apple.mgmt.External.4b6c0000',
        serverUrl: 'https://mdm.example.com/mdm',
        checkInUrl: 'https://mdm.example.com/checkin',
        signMessage: false,
        accessRights,
        checkOutWhenRemoved: true,
        serverCapabilities: ['com.apple.mdm.per-user-connections'],
        serverPins: [],
        checkInPins: [],
      },
      privateKey: '',
      certificate: '',
      roots: [],
      serverPins: [],
      checkInPins: [],
    });
  }

  override transport(): Transport {
    return this.#ear;
  }
}

describe.skipIf(schema === undefined)('a simulated Mac, held to Apple’s data', () => {
  test('payload types of one channel', () => {
    const types = [...(schema?.payloads.keys() ?? [])].toSorted();
    expect(types.filter((type) => !isAllowedOn('user', type))).toEqual(payloadTypesOnlyOn('device'));
    expect(types.filter((type) => !isAllowedOn('device', type))).toEqual(payloadTypesOnlyOn('user'));
  });

  test.each([8191, 8191 - 16])('check-in messages with access rights %i', async (rights) => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const tap = createWireTap({ accessRights: rights });
      const mac = new HeardMac(seed, rights, tap);
      await authenticate(mac);
      expect(await tokenUpdate(mac, 'device')).toBe(true);
      expect(await tokenUpdate(mac, 'user')).toBe(true);
      await checkOut(mac);
      tap.assertClean();
      expect(tap.counts.get('checkin-request')).toBe(4);
      expect(tap.findings).toEqual([]);
    }
  });
});
