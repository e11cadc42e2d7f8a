import type { EnrollmentRef } from '../core/enrollment.ts';
import type { Tx } from '../core/tx.ts';
import type { AssociatedData, Opener, Sealer } from '../keys/types.ts';
import { plistAnswer } from './answer.ts';
import type { MdmStore } from './ports.ts';
import type { CheckinMessage, DeviceResponse } from './types.ts';

export interface TokenVault {
  readonly store: MdmStore;
  readonly sealer: Sealer;
  readonly opener: Opener;
}

type Message<Type extends CheckinMessage['type']> = Extract<CheckinMessage, { type: Type }>;

/** The life of an enrolment that a token belongs to. */
export interface Life {
  readonly ref: EnrollmentRef;
  readonly generation: number;
}

/** A token moved to another Mac's row, or kept into another life, does not open there (BST-03, S12). */
export function sealedColumn({ ref, generation }: Life, kind: 'bootstrap_token' | 'unlock_token'): AssociatedData {
  return { table: 'enrollment', row: String(ref), kind, version: generation };
}

export async function storeBootstrapToken(
  vault: TokenVault,
  tx: Tx,
  life: Life,
  { token, awaitingConfiguration }: Message<'SetBootstrapToken'>,
): Promise<void> {
  const sealed = token && vault.sealer.seal(token, sealedColumn(life, 'bootstrap_token'));
  await vault.store.saveBootstrapToken(tx, life.ref, sealed);
  await keepAwaiting(vault, tx, life.ref, awaitingConfiguration);
}

/** No token is a success with a zero-length value (BST-02). Errors: sealed_value_unreadable. */
export async function giveBootstrapToken(
  vault: TokenVault,
  tx: Tx,
  life: Life,
  { awaitingConfiguration }: Message<'GetBootstrapToken'>,
): Promise<DeviceResponse> {
  await keepAwaiting(vault, tx, life.ref, awaitingConfiguration);
  const sealed = await vault.store.bootstrapToken(tx, life.ref);
  const token =
    sealed === undefined ? Buffer.alloc(0) : vault.opener.open(sealed, sealedColumn(life, 'bootstrap_token')).reveal();
  return plistAnswer({ BootstrapToken: token });
}

/** Absent does not mean false (TOK-07). */
async function keepAwaiting({ store }: TokenVault, tx: Tx, ref: EnrollmentRef, awaiting?: boolean): Promise<void> {
  if (awaiting !== undefined) await store.setAwaitingConfiguration(tx, ref, awaiting);
}
