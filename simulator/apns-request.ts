import type { IncomingHttpHeaders } from 'node:http2';

/** One push as APNs received it. */
export interface ApnsRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface ApnsAnswer {
  readonly status: number;
  readonly reason?: string;
  /** Milliseconds since 1970, in the body of a 410. */
  readonly timestamp?: number;
  /** Seconds, as the Retry-After header. */
  readonly retryAfter?: number;
  /** False: no body at all, which APNs may do too. */
  readonly body?: boolean;
}

export interface MdmPush {
  /** Lower-case hex. */
  readonly token: string;
  readonly topic: string;
  /** Undefined when the body is not exactly {"mdm": "…"}; APNs does not look, the device does. */
  readonly magic: string | undefined;
}

const MAX_PAYLOAD_BYTES = 4096;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const answer = (status: number, reason: string): ApnsAnswer => ({ status, reason });

/**
 * What APNs itself checks of a push (apple-protocol 7.1, 7.2), in the order that names the first mistake. `topic` is the
 * UID of the client certificate.
 */
export function readPush(request: ApnsRequest, topic: string): ApnsAnswer | MdmPush {
  const { headers } = request;
  if (request.method !== 'POST') return answer(405, 'MethodNotAllowed');
  const match = /^\/3\/device\/([^/?]*)$/.exec(request.path);
  if (match === null) return answer(404, 'BadPath');
  const token = match[1] ?? '';
  if (token === '') return answer(400, 'MissingDeviceToken');
  // PSH-01: Apple shows lower case; this one takes nothing else, so that nobody relies on more.
  if (!/^([0-9a-f]{2})+$/.test(token)) return answer(400, 'BadDeviceToken');
  const asked = single(headers['apns-topic']);
  if (asked === undefined) return answer(400, 'MissingTopic');
  if (asked !== topic) return answer(400, 'TopicDisallowed');
  if (single(headers['apns-push-type']) !== 'mdm') return answer(400, 'InvalidPushType');
  if (!['1', '5', '10', undefined].includes(single(headers['apns-priority']))) return answer(400, 'BadPriority');
  if (!/^\d+$/.test(single(headers['apns-expiration']) ?? '0')) return answer(400, 'BadExpirationDate');
  const id = single(headers['apns-id']);
  if (id !== undefined && !UUID.test(id)) return answer(400, 'BadMessageId');
  if (request.body.length === 0) return answer(400, 'PayloadEmpty');
  if (request.body.length > MAX_PAYLOAD_BYTES) return answer(413, 'PayloadTooLarge');
  return { token, topic, magic: magicOf(request.body) };
}

export const isAnswer = (read: ApnsAnswer | MdmPush): read is ApnsAnswer => 'status' in read;

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(',') : value;

function magicOf(body: Buffer): string | undefined {
  try {
    const payload: unknown = JSON.parse(body.toString('utf8'));
    if (typeof payload !== 'object' || payload === null || Object.keys(payload).join() !== 'mdm') return undefined;
    const { mdm } = payload as { mdm: unknown };
    return typeof mdm === 'string' ? mdm : undefined;
  } catch {
    return undefined;
  }
}
