import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { consequencesOf, takeTurn } from '../../mdm/command.ts';
import type { LiveCommand, Report } from '../../mdm/types.ts';

const live = (commandUuid: string, more: Partial<LiveCommand> = {}): LiveCommand => ({
  commandUuid,
  seq: commandUuid.charCodeAt(0),
  requestType: 'DeviceInformation',
  state: 'queued',
  deferred: false,
  enrollmentGeneration: 1,
  op: undefined,
  deliveries: 0,
  notNowCount: 0,
  ...more,
});
const idle: Report = { kind: 'idle' };
const notNow = (commandUuid: string): Report => ({ kind: 'not_now', commandUuid });
const done = (commandUuid: string): Extract<Report, { kind: 'finished' }> => ({
  kind: 'finished',
  commandUuid,
  outcome: 'Acknowledged',
  status: 'Acknowledged',
  errorChain: [],
});

/** What is handed out at each turn. */
function play(queue: readonly LiveCommand[], ...turns: readonly Report[]): (string | undefined)[] {
  let now = queue;
  return turns.map((turn) => {
    const turned = takeTurn(now, turn);
    now = turned.queue;
    return turned.handOut;
  });
}

describe('the queue of one channel', () => {
  const queue = [live('a'), live('b'), live('c')];

  test('CMD-01 oldest first; delivery is not completion', () => {
    expect(play(queue, idle, done('a'), done('b'), done('c'))).toEqual(['a', 'b', 'c', undefined]);
    expect(takeTurn(queue, idle).queue).toHaveLength(3);
  });

  test('CMD-05 Idle with a command outstanding: the same command again, under the same UUID', () => {
    expect(play(queue, idle, idle, idle)).toEqual(['a', 'a', 'a']);
    expect(takeTurn(takeTurn(queue, idle).queue, idle).queue[0]).toMatchObject({ deliveries: 2, state: 'sent' });
  });

  test('NNW-01 NotNow is never answered with the same command; Idle makes all eligible again, oldest first', () => {
    expect(play(queue, idle, notNow('a'), notNow('b'), notNow('c'), idle)).toEqual(['a', 'b', 'c', undefined, 'a']);
    expect(play(queue, idle, notNow('a'), done('b'), done('c'), idle)).toEqual(['a', 'b', 'c', undefined, 'a']);
  });

  test('NNW-02 §2.2 an exchange that ends on another word than NotNow leaves the deferred behind', () => {
    const deferred = takeTurn(queue.slice(0, 2), notNow('a')).queue;
    expect(takeTurn(deferred, done('b'))).toMatchObject({ handOut: undefined, leftBehind: true, weighty: true });
    expect(takeTurn(deferred, notNow('b'))).toMatchObject({ handOut: undefined, leftBehind: false });
    expect(takeTurn(deferred, idle)).toMatchObject({ handOut: 'a', leftBehind: false });
  });

  test('CMD-03 a result for a command that is not there changes nothing and is answered with the next', () => {
    const turned = takeTurn(queue, done('x'));
    expect(turned).toMatchObject({ late: true, handOut: 'a', finished: undefined });
    expect(turned.queue.map((command) => command.commandUuid)).toEqual(['a', 'b', 'c']);
  });

  test('R5 10,000 random exchanges: nothing lost, nothing twice, no starvation beyond one Idle', () => {
    const turn = fc.oneof(
      fc.constant(idle),
      fc.constantFrom('a', 'b', 'c', 'd', 'x').map(notNow),
      fc.constantFrom('a', 'b', 'c', 'd', 'x').map(done),
    );
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 12 }), (turns) => {
        let now: readonly LiveCommand[] = [live('a'), live('b'), live('c'), live('d')];
        const finished: string[] = [];
        for (const one of turns) {
          const { queue: after, handOut, finished: left } = takeTurn(now, one);
          if (left !== undefined) finished.push(left.commandUuid);
          expect(after.map((c) => c.commandUuid)).toEqual(
            ['a', 'b', 'c', 'd'].filter((uuid) => !finished.includes(uuid)),
          );
          if (one.kind === 'not_now') expect(handOut).not.toBe(one.commandUuid);
          if (one.kind === 'idle') expect(handOut).toBe(after[0]?.commandUuid);
          now = after;
        }
        expect(new Set(finished).size).toBe(finished.length);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe('what follows from a result', () => {
  test('op_settled carries the generations the command was made in, whatever it was', () => {
    const command = live('a', { op: { slot: 7, generation: 3 }, enrollmentGeneration: 2 });
    expect(consequencesOf(5, command, done('a'), new Map()).effects).toEqual([
      {
        kind: 'op_settled',
        enrollment: 5,
        enrollmentGeneration: 2,
        op: { slot: 7, generation: 3 },
        outcome: 'Acknowledged',
        errorChain: [],
      },
    ]);
  });

  test('TOK-07 DeviceConfigured ends the wait only when acknowledged', () => {
    const command = live('a', { requestType: 'DeviceConfigured' });
    expect(consequencesOf(5, command, done('a'), new Map()).configured).toBe(true);
    expect(consequencesOf(5, command, { ...done('a'), outcome: 'Error' }, new Map()).configured).toBe(false);
  });

  test('ProfileList is an observation of its channel', () => {
    const command = live('a', { requestType: 'ProfileList' });
    expect(consequencesOf(5, command, done('a'), new Map([['ProfileList', []]])).effects).toEqual([
      { kind: 'profiles_observed', enrollment: 5, source: 'profile_list', observation: { state: 'zero_rows' } },
    ]);
  });
});
