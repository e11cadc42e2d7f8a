import type { Clock } from '../core/clock.ts';
import type { Effect } from '../core/effects.ts';
import type { Tx } from '../core/tx.ts';
import { decideLabels } from './label-answers.ts';
import type { HostLabels, LabelAnswerStore, VitalsStore, WakeAfter } from './ports.ts';
import type { LabelEvidence } from './types.ts';
import { judgeVitals } from './vitals.ts';

type Of<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;

export interface LabelHandlersDeps {
  readonly answers: LabelAnswerStore;
  readonly vitals: VitalsStore;
  readonly clock: Clock;
  /** How many noes in a row take a member out of a dynamic label. */
  readonly confirmNo: number;
  readonly wakeAfter: WakeAfter;
}

export interface LabelHandlers {
  onLabelsAnswered(tx: Tx, effect: Of<'labels_answered'>): Promise<void>;
  onHostFactsChanged(tx: Tx, effect: Of<'host_facts_changed'>): Promise<void>;
  /** Writes when agents answered without a change; run by a job. */
  flush(): Promise<void>;
}

/** Milliseconds that the clocks of two replicas may differ; a question from further in the future was never asked. */
const MAX_SKEW_MS = 600_000;

/** What the room does with the effects of others, each in the transaction of the report that caused it. */
export function createLabelHandlers(deps: LabelHandlersDeps): LabelHandlers {
  const { answers, vitals, clock, wakeAfter } = deps;
  /** Host → when it last answered; coalesced, for most answers say what is known. */
  const evaluated = new Map<string, Date>();

  return {
    /** Read first and locked only where something changes: an answer that says nothing new writes nothing. */
    async onLabelsAnswered(tx, { hostId, ...report }) {
      const now = clock.now();
      const isFromFuture = (at: Date | undefined) => at !== undefined && at.getTime() > now.getTime() + MAX_SKEW_MS;
      if (isFromFuture(report.askedAt)) return;
      // Written while a clock was wrong: no report would ever come after it.
      const sane = (evidence: LabelEvidence): LabelEvidence =>
        isFromFuture(evidence.askedAt) ? { ...evidence, askedAt: undefined } : evidence;
      const decide = ({ labels, evidence }: HostLabels) => decideLabels(labels, sane(evidence), report, deps.confirmNo);
      const expected = decide(await answers.read(tx, hostId));
      if (expected.kind === 'same') evaluated.set(hostId, now);
      if (expected.kind !== 'changed') return;
      const decided = decide(await answers.lock(tx, hostId));
      if (decided.kind !== 'changed') return;
      await answers.write(tx, hostId, decided, now);
      if (decided.gateChanged) wakeAfter(tx);
    },

    async onHostFactsChanged(tx, { hostId, osChanged }) {
      const now = clock.now();
      const labels = await vitals.labels(tx);
      const facts = await vitals.facts(tx, hostId);
      if (facts === undefined) return;
      const ids = (wanted: 'yes' | 'unknown') =>
        labels.filter(({ criteria }) => judgeVitals(criteria, facts) === wanted).map(({ id }) => id);
      const verdict = { hostId, yes: ids('yes'), unknown: ids('unknown') };
      if (labels.length > 0) {
        await vitals.write(
          tx,
          labels.map(({ id }) => id),
          [verdict],
          now,
        );
      }
      if (osChanged) await vitals.queueHost(tx, hostId, 'os_version', now);
      wakeAfter(tx);
    },

    async flush() {
      if (evaluated.size === 0) return;
      const batch = [...evaluated].map(([hostId, at]) => ({ hostId, at }));
      evaluated.clear();
      await answers.markEvaluated(batch);
    },
  };
}
