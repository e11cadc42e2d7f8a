import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buildSignedData } from '../../../cms/signed-data.ts';
import { readPlist } from '../../../plist/read.ts';
import { isDict, type PlistDict, type Writable } from '../../../plist/types.ts';
import { writePlistBytes } from '../../../plist/write.ts';
import { answerPkiOperation, type CertRepFaults } from './cert-rep.ts';
import { type Authority, keyPem, type Leaf, newAuthority, newTlsLeaf, pem } from './pki.ts';

export type Dict = Record<string, Writable | undefined>;

export interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body?: Uint8Array | string;
  readonly location?: string;
  /** Cut the connection in place of an answer. */
  readonly cut?: boolean;
}

export interface Received {
  readonly path: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly raw: Buffer;
  /** Undefined where the body is no property list. */
  readonly message: PlistDict | undefined;
}

/** One TLS root, one RSA CA: made once per test file, because a key costs more than all the rest. */
export interface World {
  readonly root: Authority;
  readonly leaf: Leaf;
  readonly ca: Authority;
}

export function makeWorld(): World {
  const root = newAuthority('Tiny Root', 'ec');
  return { root, leaf: newTlsLeaf(root), ca: newAuthority('Tiny CA', 'rsa') };
}

/** How this server differs from a right one. */
export interface Wrong {
  readonly leaf?: Leaf;
  /** From a path to where it is sent. */
  readonly redirect?: Readonly<Record<string, string>>;
  readonly enroll?: Answer;
  /** Edit the enrolment profile before it is signed. */
  readonly profile?: (profile: Dict, payloads: Payloads) => void;
  readonly sign?: boolean;
  readonly caps?: Answer;
  readonly caCert?: Answer;
  readonly certRep?: CertRepFaults | ((attempt: number) => CertRepFaults);
  readonly certRepType?: string;
  readonly checkIn?: (message: PlistDict) => Answer | undefined;
  /** Before the queue is looked at; undefined answers as usual. */
  readonly poll?: (message: PlistDict, request: Received) => Answer | undefined;
}

export interface Payloads {
  readonly root: Dict;
  readonly scep: Dict & { PayloadContent: Dict };
  readonly mdm: Dict;
}

export interface QueuedCommand {
  readonly uuid: string;
  readonly command: Dict;
}

const ROOT_UUID = '11111111-1111-4111-8111-111111111111';
const SCEP_UUID = '22222222-2222-4222-8222-222222222222';
const MDM_UUID = '33333333-3333-4333-8333-333333333333';
export const ENROLLMENT_IDENTIFIER = 'org.example.enrollment';
const TOPIC = 'com.apple.mgmt.External.00000000-0000-4000-8000-000000000000';

export function put(dict: Dict, key: string, value: Writable | undefined): void {
  dict[key] = value;
}

export class TinyServer {
  readonly received: Received[] = [];
  /** Handed out first to last; a command leaves with a result that is not NotNow. */
  readonly queue: QueuedCommand[] = [];
  readonly results: PlistDict[] = [];
  readonly url: string;
  /** May be changed while the server runs. */
  wrong: Wrong;
  scepAttempts = 0;
  /** Hears each request and its answer. */
  onExchange: (request: Received, answer: Answer) => void = () => undefined;
  readonly #world: World;
  readonly #server: Server;

  private constructor(world: World, wrong: Wrong, server: Server, port: number) {
    this.#world = world;
    this.wrong = wrong;
    this.#server = server;
    this.url = `https://localhost:${port}`;
  }

  static async start(world: World, wrong: Wrong = {}): Promise<TinyServer> {
    const leaf = wrong.leaf ?? world.leaf;
    const server = createServer({ key: keyPem(leaf.key), cert: pem(leaf.certificate) });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const tiny = new TinyServer(world, wrong, server, (server.address() as AddressInfo).port);
    server.on('request', (request, response) => void tiny.#serve(request, response));
    return tiny;
  }

  get link(): string {
    return `${this.url}/enroll/code`;
  }

  /** PEM. */
  get root(): string {
    return pem(this.#world.root.certificate);
  }

  add(command: Dict, uuid: string = randomUUID().toUpperCase()): string {
    this.queue.push({ uuid, command });
    return uuid;
  }

  messages(type: string): PlistDict[] {
    return this.received.flatMap(({ message }) => (message?.get('MessageType') === type ? [message] : []));
  }

  polls(): PlistDict[] {
    return this.received.flatMap(({ message }) => (message?.has('Status') === true ? [message] : []));
  }

  enrollmentProfile(): Dict {
    const { url } = this;
    const payload = (type: string, uuid: string): Dict => ({
      PayloadType: type,
      PayloadVersion: 1,
      PayloadIdentifier: `${ENROLLMENT_IDENTIFIER}.${type}`,
      PayloadUUID: uuid,
    });
    const payloads: Payloads = {
      root: { ...payload('com.apple.security.root', ROOT_UUID), PayloadContent: this.#world.root.certificate.der },
      scep: {
        ...payload('com.apple.security.scep', SCEP_UUID),
        PayloadContent: {
          URL: `${url}/scep`,
          Subject: [[['O', 'Example']], [['CN', '%SerialNumber%']]],
          Challenge: 'secret',
          Keysize: 2048,
          'Key Type': 'RSA',
          'Key Usage': 5,
        },
      },
      mdm: {
        ...payload('com.apple.mdm', MDM_UUID),
        IdentityCertificateUUID: SCEP_UUID,
        Topic: TOPIC,
        ServerURL: `${url}/mdm`,
        CheckInURL: `${url}/checkin`,
        SignMessage: true,
        AccessRights: 8191,
        CheckOutWhenRemoved: true,
        ServerCapabilities: ['com.apple.mdm.per-user-connections'],
      },
    };
    const profile: Dict = {
      PayloadType: 'Configuration',
      PayloadVersion: 1,
      PayloadIdentifier: ENROLLMENT_IDENTIFIER,
      PayloadUUID: '44444444-4444-4444-8444-444444444444',
      PayloadDisplayName: 'Example management',
      PayloadContent: [payloads.root, payloads.scep, payloads.mdm],
    };
    this.wrong.profile?.(profile, payloads);
    return profile;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const raw = await readAll(request);
    if (raw === undefined) return;
    const url = new URL(request.url ?? '/', this.url);
    const message = readMessage(raw);
    const received = { path: url.pathname, method: request.method ?? '', headers: request.headers, raw, message };
    this.received.push(received);
    const answer = this.#answer(received, url);
    this.onExchange(received, answer);
    if (answer.cut === true) {
      request.socket.destroy();
      return;
    }
    response.writeHead(answer.status ?? 200, {
      ...(answer.type === undefined ? {} : { 'content-type': answer.type }),
      ...(answer.location === undefined ? {} : { location: answer.location }),
    });
    response.end(answer.body ?? '');
  }

  #answer(request: Received, url: URL): Answer {
    const location = this.wrong.redirect?.[request.path];
    if (location !== undefined) return { status: 307, location };
    switch (request.path) {
      case '/enroll/code':
        return this.wrong.enroll ?? this.#enroll();
      case '/scep':
        return this.#scep(url, request.raw);
      case '/checkin':
        return (request.message === undefined ? { status: 400 } : this.wrong.checkIn?.(request.message)) ?? {};
      case '/mdm':
      case '/elsewhere':
        return this.#poll(request);
      default:
        return { status: 404 };
    }
  }

  #enroll(): Answer {
    const content = writePlistBytes(this.enrollmentProfile());
    const signer = { certificateDer: this.#world.root.certificate.der, key: this.#world.root.key };
    const body = this.wrong.sign === false ? content : buildSignedData({ content, signer });
    return { type: 'application/x-apple-aspen-config', body };
  }

  #scep(url: URL, body: Buffer): Answer {
    switch (url.searchParams.get('operation')) {
      case 'GetCACaps':
        return this.wrong.caps ?? { type: 'text/plain', body: 'SHA-256\nAES\nPOSTPKIOperation\nSCEPStandard\n' };
      case 'GetCACert':
        return this.wrong.caCert ?? { type: 'application/x-x509-ca-cert', body: this.#world.ca.certificate.der };
      default: {
        this.scepAttempts += 1;
        const faults = this.wrong.certRep;
        const wrong = typeof faults === 'function' ? faults(this.scepAttempts) : (faults ?? {});
        const message = body.length > 0 ? body : Buffer.from(url.searchParams.get('message') ?? '', 'base64');
        const type = this.wrong.certRepType ?? 'application/x-pki-message';
        return { type, body: answerPkiOperation(message, this.#world.ca, wrong) };
      }
    }
  }

  #poll(request: Received): Answer {
    const { message } = request;
    if (message === undefined) return { status: 400 };
    const wrong = this.wrong.poll?.(message, request);
    if (wrong !== undefined) return wrong;
    const status = message.get('Status');
    if (status !== 'Idle') {
      this.results.push(message);
      const at = this.queue.findIndex(({ uuid }) => uuid === message.get('CommandUUID'));
      if (at !== -1 && status !== 'NotNow') this.queue.splice(at, 1);
    }
    const [next] = this.queue;
    return next === undefined || status === 'NotNow' ? {} : commandAnswer(next);
  }
}

export const commandAnswer = ({ uuid, command }: QueuedCommand): Answer => ({
  type: 'application/xml; charset=UTF-8',
  body: writePlistBytes({ CommandUUID: uuid, Command: command }),
});

function readMessage(raw: Buffer): PlistDict | undefined {
  try {
    const value = readPlist(raw);
    return isDict(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  } catch {
    return undefined;
  }
}
