import { createPrivateKey, type KeyObject } from 'node:crypto';
import { pemToDer } from '../cms/pem.ts';
import { buildSignedData } from '../cms/signed-data.ts';
import type { Channel } from '../core/enrollment.ts';
import type { Writable } from '../plist/types.ts';
import { writePlistBytes } from '../plist/write.ts';
import type { Device } from './device.ts';
import { refusal } from './refusal.ts';
import type { EnrolledState } from './state.ts';
import type { MacRequest, MacResponse } from './transport.ts';

export type Message = Readonly<Record<string, Writable | undefined>>;

const DEVICE_INFORMATION_RIGHT = 16;
/** How often a body goes out without its length: proxies and listeners must take both. */
const CHUNKED = 0.2;

/** Reading a PEM costs a third of the signature it is for. */
const signingKeys = new WeakMap<EnrolledState, KeyObject>();

function signingKey(enrolled: EnrolledState): KeyObject {
  const known = signingKeys.get(enrolled);
  if (known !== undefined) return known;
  const key = createPrivateKey(enrolled.privateKey);
  signingKeys.set(enrolled, key);
  return key;
}

/** SIG: a detached CMS signature over exactly the bytes of the body, as one line of base64 (apple-protocol 1.2). */
function mdmSignature(enrolled: EnrolledState, body: Buffer): string {
  return buildSignedData({
    content: body,
    detached: true,
    signer: { certificateDer: pemToDer(enrolled.certificate), key: signingKey(enrolled) },
  }).toString('base64');
}

/** Signed, by PUT, with the media type Apple writes and sometimes a parameter it may write. */
export function mdmRequest(device: Device, kind: 'server' | 'check-in', body: Buffer): MacRequest {
  const enrolled = device.enrolled();
  const mediaType =
    kind === 'server'
      ? 'application/x-apple-aspen-mdm; charset=UTF-8'
      : device.random.pick([
          'application/x-apple-aspen-mdm-checkin',
          'application/x-apple-aspen-mdm-checkin; charset=UTF-8',
        ]);
  return {
    method: 'PUT',
    url: kind === 'server' ? enrolled.mdm.serverUrl : enrolled.mdm.checkInUrl,
    headers: {
      'content-type': mediaType,
      ...(enrolled.mdm.signMessage ? { 'mdm-signature': mdmSignature(enrolled, body) } : {}),
    },
    body,
    chunked: device.random.chance(CHUNKED),
  };
}

/** Who is talking, on either channel (apple-protocol 1.4). */
export function identityKeys(device: Device, channel: Channel): Message {
  const account = channel === 'user' ? device.state.user?.account : undefined;
  return {
    UDID: device.identity.udid,
    ...(account === undefined
      ? {}
      : {
          UserID: account.userId,
          UserShortName: account.shortName,
          UserLongName: account.longName,
          NotOnConsole: false,
        }),
  };
}

function authenticateMessage(device: Device): Message {
  const { identity } = device;
  const { topic, accessRights } = device.enrolled().mdm;
  const mayTell = (accessRights & DEVICE_INFORMATION_RIGHT) !== 0;
  return {
    MessageType: 'Authenticate',
    Topic: topic,
    UDID: identity.udid,
    // The schema has these three keys for macOS alone.
    ...(identity.platform === 'macOS'
      ? { DeviceName: identity.deviceName, Model: identity.model, ModelName: identity.modelName }
      : {}),
    ...(mayTell
      ? {
          OSVersion: identity.osVersion,
          BuildVersion: identity.buildVersion,
          ProductName: identity.productName,
          SerialNumber: identity.serialNumber,
        }
      : {}),
  };
}

function tokenUpdateMessage(device: Device, channel: Channel): Message {
  const state = device.channel(channel);
  if (state === undefined) throw new Error(`there is no ${channel} channel`);
  return {
    MessageType: 'TokenUpdate',
    Topic: device.enrolled().mdm.topic,
    ...identityKeys(device, channel),
    Token: Buffer.from(state.token, 'hex'),
    PushMagic: state.pushMagic,
    ...(channel === 'device' ? { AwaitingConfiguration: false } : {}),
  };
}

async function checkIn(device: Device, message: Message): Promise<MacResponse> {
  return device.transport('check-in').send(mdmRequest(device, 'check-in', writePlistBytes(message)));
}

/** CHK-04: 200 with zero bytes is the only "accepted" these messages know. */
function requireAccepted(device: Device, message: string, response: MacResponse): void {
  if (response.status === 401) throw refusal('MAC-55', 'MCMDM', 12020, `${message} was answered 401`);
  if (response.status < 200 || response.status >= 300) {
    throw refusal('MAC-41', 'MCMDM', 12002, `${message} was answered ${response.status}: the Mac cannot check in`);
  }
  if (response.status !== 200 || response.body.length > 0) {
    device.violation('MAC-52', `${message} was answered ${response.status} with ${response.body.length} bytes`);
  }
}

export async function authenticate(device: Device): Promise<void> {
  requireAccepted(device, 'Authenticate', await checkIn(device, authenticateMessage(device)));
  device.emit({ kind: 'authenticated' });
}

/** False: the server does not manage this user for now (410, MAC-57). */
export async function tokenUpdate(device: Device, channel: Channel): Promise<boolean> {
  const response = await checkIn(device, tokenUpdateMessage(device, channel));
  if (channel === 'user' && response.status === 410) return false;
  requireAccepted(device, 'TokenUpdate', response);
  return true;
}

/** One attempt; nobody waits for the answer (OUT-02). */
export async function checkOut(device: Device): Promise<void> {
  const message = { MessageType: 'CheckOut', Topic: device.enrolled().mdm.topic, UDID: device.identity.udid };
  await checkIn(device, message).catch(() => undefined);
}
