import type { Channel } from '../core/enrollment.ts';
import { isDict, type PlistDict } from '../plist/types.ts';
import { writePlistBytes } from '../plist/write.ts';
import { identityKeys, mdmRequest } from './check-in.ts';
import { type CommandResult, execute } from './commands.ts';
import type { Device } from './device.ts';
import { unenroll } from './enroll.ts';
import { drawDelivery } from './faults.ts';
import { formFaults, isUnrecognized, readAnswer } from './server-answer.ts';
import { type AnsweredCommand, answeredKey, type ChannelState, type PendingResult } from './state.ts';
import type { MacResponse } from './transport.ts';

/** How an exchange ended, and so what makes the Mac ask again (MAC-50). */
export type Ending =
  /** Zero bytes: nothing until the next push. */
  | 'empty'
  /** Zero bytes after a NotNow: by itself, when conditions change. */
  | 'not-now'
  /** A result is kept: until a 2xx takes it. */
  | 'undelivered'
  /** The Idle went nowhere or the answer made no sense: nothing until the next push. */
  | 'broken'
  /** This user is not managed in this login session (410). */
  | 'declined'
  | 'unenrolled';

interface ReceivedCommand {
  readonly commandUuid: string;
  readonly requestType: string;
  readonly command: PlistDict;
}

type Answer =
  | { readonly kind: 'command'; readonly received: ReceivedCommand }
  | { readonly kind: 'end'; readonly ending: Exclude<Ending, 'not-now'> };

/** One exchange: Idle or the kept result, then commands and results on one connection until zero bytes. */
export class Exchange {
  readonly #device: Device;
  readonly #channel: Channel;
  readonly #store: ChannelState;
  /** Commands answered NotNow in this exchange (NNW-01). */
  readonly #deferred = new Set<string>();
  /** Accepted results, to be sent once more at the start of an exchange. */
  readonly #again: PendingResult[];

  constructor(device: Device, channel: Channel, store: ChannelState, again: PendingResult[]) {
    this.#device = device;
    this.#channel = channel;
    this.#store = store;
    this.#again = again;
  }

  async run(): Promise<Ending> {
    // A NotNow that did not get through the first time is the last word of this exchange all the same.
    let notNow = this.#store.pending?.status === 'NotNow';
    let answer = await this.#open();
    while (answer.kind === 'command') {
      const { received } = answer;
      const result = await this.#carryOut(received);
      if (this.#device.isOff) return 'undelivered';
      notNow = result.status === 'NotNow';
      answer = await this.#deliver(true);
      if (result.leaves === true && this.#store.pending === undefined) {
        await unenroll(this.#device, 'RemoveProfile of the enrolment profile', { checkOut: true });
        return 'unenrolled';
      }
    }
    return answer.ending === 'empty' && notNow ? 'not-now' : answer.ending;
  }

  async #open(): Promise<Answer> {
    if (this.#store.pending !== undefined) return this.#deliver(false);
    const stale = this.#again.shift();
    if (stale !== undefined) {
      this.#device.emit({ kind: 'fault', fault: 'sent a result twice' });
      return this.#say(Buffer.from(stale.body));
    }
    return this.#say(writePlistBytes({ ...identityKeys(this.#device, this.#channel), Status: 'Idle' }));
  }

  async #carryOut({ commandUuid, requestType, command }: ReceivedCommand): Promise<CommandResult> {
    const device = this.#device;
    const before = device.answered.get(answeredKey({ channel: this.#channel, commandUuid }));
    const again = before !== undefined;
    device.emit({ kind: 'command', channel: this.#channel, commandUuid, requestType, again });
    this.#judgeDelivery(commandUuid, before);
    const result = await execute(device, this.#channel, command);
    // Removed from under us: a renewal was answered 401.
    if (device.state.phase !== 'enrolled') return result;
    if (result.status === 'NotNow') this.#deferred.add(commandUuid);
    const body = writePlistBytes({
      ...identityKeys(device, this.#channel),
      CommandUUID: commandUuid,
      Status: result.status,
      ...result.response,
      ErrorChain: result.errorChain?.map((link) => ({
        ErrorCode: link.code,
        ErrorDomain: link.domain,
        LocalizedDescription: link.description,
        USEnglishDescription: link.description,
      })),
    });
    // Done and noted in one write: a Mac that dies here has either not begun or still owes the result.
    this.#store.pending = { commandUuid, status: result.status, body: body.toString('utf8') };
    device.save();
    device.recordAnswer({
      channel: this.#channel,
      commandUuid,
      requestType,
      status: result.status,
      acknowledged: false,
      deliveries: (before?.deliveries ?? 0) + 1,
    });
    device.emit({ kind: 'answered', channel: this.#channel, commandUuid, requestType, status: result.status });
    return result;
  }

  #judgeDelivery(commandUuid: string, before: AnsweredCommand | undefined): void {
    if (this.#deferred.has(commandUuid)) {
      this.#device.violation('MAC-59', `${commandUuid} was handed out again in the exchange that answered it NotNow`);
    }
    if (before?.acknowledged === true && before.status !== 'NotNow') {
      this.#device.violation('MAC-60', `${commandUuid} was handed out again after its ${before.status} was accepted`);
    }
  }

  /** Send the kept result; `fresh` results may meet a fault on their way. */
  async #deliver(fresh: boolean): Promise<Answer> {
    const pending = this.#store.pending;
    if (pending === undefined) return { kind: 'end', ending: 'unenrolled' };
    const body = Buffer.from(pending.body, 'utf8');
    const delivery = fresh ? drawDelivery(this.#device.faults, this.#device.random, pending.status) : 'sent';
    if (delivery !== 'sent') this.#device.emit({ kind: 'fault', fault: `result ${delivery}` });
    switch (delivery) {
      case 'torn':
        await this.#transport().tear(mdmRequest(this.#device, 'server', body));
        return { kind: 'end', ending: 'undelivered' };
      case 'dropped':
        this.#device.dropConnections();
        return { kind: 'end', ending: 'undelivered' };
      case 'lost':
        this.#device.dropConnections();
        this.#forget();
        return { kind: 'end', ending: 'broken' };
      case 'twice':
        await this.#say(body);
        if (this.#device.state.phase !== 'enrolled') return { kind: 'end', ending: 'unenrolled' };
        return this.#say(body);
      case 'twice-later':
        this.#again.push(pending);
        return this.#say(body);
      case 'sent':
        return this.#say(body);
    }
  }

  #forget(): void {
    delete this.#store.pending;
    this.#device.save();
  }

  async #say(body: Buffer): Promise<Answer> {
    const undelivered = { kind: 'end', ending: this.#store.pending === undefined ? 'broken' : 'undelivered' } as const;
    let response: MacResponse;
    try {
      response = await this.#transport().send(mdmRequest(this.#device, 'server', body));
    } catch {
      return undelivered;
    }
    if (this.#device.state.phase !== 'enrolled') return { kind: 'end', ending: 'unenrolled' };
    if (await this.#dismissed(response)) return { kind: 'end', ending: 'unenrolled' };
    if (this.#channel === 'user' && response.status === 410) return { kind: 'end', ending: 'declined' };
    if (response.status < 200 || response.status >= 300) return undelivered;
    this.#accepted();
    return this.#read(response);
  }

  #accepted(): void {
    const pending = this.#store.pending;
    if (pending === undefined) return;
    this.#forget();
    const { commandUuid, status } = pending;
    const entry = this.#device.answered.get(answeredKey({ channel: this.#channel, commandUuid }));
    if (entry !== undefined) this.#device.recordAnswer({ ...entry, acknowledged: true });
    this.#device.emit({ kind: 'accepted', channel: this.#channel, commandUuid, status });
  }

  async #dismissed(response: MacResponse): Promise<boolean> {
    if (response.status !== 401 && !isUnrecognized(response)) return false;
    await unenroll(this.#device, response.status === 401 ? '401' : 'unrecognized device', { checkOut: false });
    return true;
  }

  /** The next command, or the end. Zero bytes with 200 is the only "nothing to do" (CMD-06). */
  #read(response: MacResponse): Answer {
    const empty = { kind: 'end', ending: 'empty' } as const;
    const broken = { kind: 'end', ending: 'broken' } as const;
    if (response.status !== 200) {
      this.#device.violation('MAC-52', `an exchange was answered ${response.status} in place of 200`);
      return response.body.length === 0 ? empty : broken;
    }
    if (response.body.length === 0) return empty;
    const message = readAnswer(response.body);
    if (message === undefined) {
      this.#device.violation('MAC-51', 'the answer is not a property list of a dictionary');
      return broken;
    }
    if (message.size === 0) {
      this.#device.violation('MAC-52', 'an empty dictionary is no command, and not "empty" either');
      return broken;
    }
    for (const fault of formFaults(response)) this.#device.violation('MAC-51', `a command ${fault}`);
    const commandUuid = message.get('CommandUUID');
    const command = message.get('Command');
    if (typeof commandUuid !== 'string' || commandUuid === '' || !isDict(command)) {
      this.#device.violation('MAC-51', 'the answer has no CommandUUID or no Command');
      return broken;
    }
    const requestType = command.get('RequestType');
    const received = { commandUuid, command, requestType: typeof requestType === 'string' ? requestType : '' };
    return { kind: 'command', received };
  }

  #transport() {
    return this.#device.transport('server');
  }
}
