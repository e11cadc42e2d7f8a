import { randomUUID } from 'node:crypto';
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { type ApnsAnswer, type ApnsRequest, isAnswer, type MdmPush, readPush } from './apns-request.ts';
import type { Violation } from './events.ts';
import { type PushCertificates, pushCertificates, renewedPushCertificate, topicOf } from './push-certificate.ts';

/** How a push ends at the device. `unregistered` is a 410, `unknown` a 400 BadDeviceToken. */
export type TokenOutcome = 'delivered' | 'unregistered' | 'unknown' | 'other_topic';

/** A fault for the pushes it is programmed for. */
export type ApnsFault =
  | { readonly kind: 'answer'; readonly answer: ApnsAnswer }
  /** Answer as usual, but only after so many milliseconds. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** GOAWAY: this stream is not processed, the client must come back on a new connection. */
  | { readonly kind: 'goaway' }
  /** RST_STREAM with REFUSED_STREAM: not processed either. */
  | { readonly kind: 'refused' }
  /** The TCP connection is cut. */
  | { readonly kind: 'cut' };

export interface FakeApnsOptions {
  /** Where the CA and the certificates live; made anew each time without it. */
  readonly folder?: string | undefined;
  readonly host?: string;
  /** 0: any free one. */
  readonly port?: number;
  /** SETTINGS_MAX_CONCURRENT_STREAMS as announced. */
  readonly maxConcurrentStreams?: number;
  /** Wakes the device; the push is answered by what it says. Without it, see `attach`. */
  readonly onPush?: PushHandler;
}

export type PushHandler = (push: MdmPush) => TokenOutcome;

export type FakeApns = Awaited<ReturnType<typeof startFakeApns>>;

const KEPT_REQUESTS = 1_000;

/** APNs over HTTP/2 and TLS with a client certificate, as far as MDM uses it (apple-protocol 7). */
export async function startFakeApns(options: FakeApnsOptions) {
  const certificates = pushCertificates(options.folder);
  const apns = new Apns(options, certificates);
  const { port } = await apns.listen(options.port ?? 0, options.host ?? '127.0.0.1');
  return {
    url: `https://${options.host ?? 'localhost'}:${port}`,
    port,
    /** PEM of the root that stands in for Apple's. */
    ca: certificates.ca,
    /** PEM certificate, PEM key and topic of the push certificate a server is to load. */
    push: certificates.push,
    /** The push certificate once more, valid until then. */
    renewed: (notAfter: Date) => ({
      ...certificates.push,
      certificate: renewedPushCertificate(certificates, notAfter),
    }),
    /** The newest pushes, and how many there were. */
    requests: apns.requests,
    received: () => apns.received,
    accepted: () => apns.accepted,
    violations: apns.violations,
    /** The next `times` pushes (all that match, where given) meet this fault. */
    program: (fault: ApnsFault, times = 1, matches: (push: ApnsRequest) => boolean = () => true) =>
      apns.program(fault, times, matches),
    /** The devices come up: each gets the newest push that was stored for it. Until then every push is accepted. */
    attach: (onPush: PushHandler) => apns.attach(onPush),
    close: () => apns.close(),
  };
}

interface Programmed {
  readonly fault: ApnsFault;
  readonly matches: (push: ApnsRequest) => boolean;
  left: number;
}

class Apns {
  readonly requests: ApnsRequest[] = [];
  readonly violations: Violation[] = [];
  received = 0;
  accepted = 0;
  readonly #server: Http2SecureServer;
  readonly #sessions = new Set<ServerHttp2Session>();
  #programme: Programmed[] = [];
  #onPush: PushHandler;
  /** By token: Apple keeps the newest push for a device that is off. */
  readonly #stored = new Map<string, MdmPush>();

  constructor(options: FakeApnsOptions, certificates: PushCertificates) {
    this.#onPush = options.onPush ?? ((push) => this.#store(push));
    this.#server = createSecureServer({
      key: certificates.server.key,
      cert: certificates.server.certificate,
      ca: certificates.ca,
      requestCert: true,
      rejectUnauthorized: true,
      settings:
        options.maxConcurrentStreams === undefined ? {} : { maxConcurrentStreams: options.maxConcurrentStreams },
    });
    this.#server.on('session', (session) => {
      this.#sessions.add(session);
      session.on('close', () => this.#sessions.delete(session));
      session.on('error', () => session.destroy());
    });
    this.#server.on('stream', (stream, headers) => {
      stream.on('error', () => stream.destroy());
      void this.#serve(stream, headers);
    });
  }

  async listen(port: number, host: string): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  attach(onPush: PushHandler): void {
    this.#onPush = onPush;
    for (const push of this.#stored.values()) onPush(push);
    this.#stored.clear();
  }

  #store(push: MdmPush): TokenOutcome {
    this.#stored.set(push.token, push);
    return 'delivered';
  }

  program(fault: ApnsFault, times: number, matches: (push: ApnsRequest) => boolean): void {
    this.#programme.push({ fault, matches, left: times });
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const body = await readBody(stream);
    if (body === undefined) return;
    const request = { method: headers[':method'] ?? '', path: headers[':path'] ?? '', headers, body };
    this.received += 1;
    this.requests.push(request);
    if (this.requests.length > KEPT_REQUESTS) this.requests.shift();
    const fault = this.#nextFault(request);
    if (fault?.kind === 'slow') await delay(fault.ms);
    switch (fault?.kind) {
      case 'goaway':
        stream.session?.goaway(constants.NGHTTP2_NO_ERROR, Math.max(0, (stream.id ?? 0) - 2));
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      case 'refused':
        stream.close(constants.NGHTTP2_REFUSED_STREAM);
        return;
      case 'cut':
        stream.session?.destroy();
        return;
      case 'answer':
        this.#respond(stream, request, fault.answer);
        return;
      default:
        this.#respond(stream, request, this.#judge(stream, request));
    }
  }

  #nextFault(request: ApnsRequest): ApnsFault | undefined {
    const programmed = this.#programme.find((candidate) => candidate.matches(request));
    if (programmed === undefined) return undefined;
    programmed.left -= 1;
    this.#programme = this.#programme.filter((candidate) => candidate.left > 0);
    return programmed.fault;
  }

  #judge(stream: ServerHttp2Stream, request: ApnsRequest): ApnsAnswer {
    const peer = (stream.session?.socket as TLSSocket | undefined)?.getPeerCertificate().raw;
    const topic = peer === undefined ? undefined : topicOf(peer);
    if (topic === undefined) return { status: 403, reason: 'BadCertificate' };
    const read = readPush(request, topic);
    if (isAnswer(read)) {
      this.violations.push({ rule: 'MAC-71', detail: `a push was refused: ${read.status} ${read.reason ?? ''}` });
      return read;
    }
    if (read.magic === undefined) {
      this.violations.push({ rule: 'MAC-71', detail: 'the body of a push is not {"mdm": PushMagic}' });
    }
    switch (this.#onPush(read)) {
      case 'delivered':
        this.accepted += 1;
        return { status: 200 };
      case 'unregistered':
        return { status: 410, reason: 'Unregistered', timestamp: Date.now() };
      case 'unknown':
        return { status: 400, reason: 'BadDeviceToken' };
      case 'other_topic':
        return { status: 400, reason: 'DeviceTokenNotForTopic' };
    }
  }

  #respond(stream: ServerHttp2Stream, request: ApnsRequest, answer: ApnsAnswer): void {
    if (stream.destroyed || stream.closed) return;
    const id = request.headers['apns-id'];
    stream.respond({
      ':status': answer.status,
      'apns-id': typeof id === 'string' ? id : randomUUID().toUpperCase(),
      ...(answer.retryAfter === undefined ? {} : { 'retry-after': String(answer.retryAfter) }),
    });
    if (answer.status === 200 || answer.body === false) stream.end();
    else stream.end(JSON.stringify({ reason: answer.reason, timestamp: answer.timestamp }));
  }
}

/** Undefined when the client went away in the middle. */
async function readBody(stream: ServerHttp2Stream): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}
