import type { Effect, EffectKind } from '../core/effects.ts';
import type { Tx } from '../core/tx.ts';

export type EffectHandlers = {
  readonly [Kind in EffectKind]: (tx: Tx, effect: Extract<Effect, { kind: Kind }>) => Promise<void>;
};

export type ApplyEffects = (tx: Tx, effects: readonly Effect[]) => Promise<void>;

/** Carries effects out one after the other in the transaction of the decision that asked for them. */
export function createEffects(handlers: EffectHandlers): ApplyEffects {
  return async (tx, effects) => {
    for (const effect of effects) {
      const handler = handlers[effect.kind] as (tx: Tx, effect: Effect) => Promise<void>;
      await handler(tx, effect);
    }
  };
}
