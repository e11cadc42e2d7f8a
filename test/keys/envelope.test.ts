import { inspect } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { systemRandom } from '../../core/system.ts';
import { createDataKey, createVault, unwrapDataKey } from '../../keys/envelope.ts';
import { parseKek } from '../../keys/kek.ts';
import type { AssociatedData } from '../../keys/types.ts';

const kek = parseKek(systemRandom.bytes(32).toString('hex'), 'test');
const KEY_ROW: AssociatedData = { table: 'key_record', row: 'data_key/test', kind: 'data_key', version: 1 };
const { dataKey, wrapped } = createDataKey(kek, KEY_ROW, systemRandom);
const vault = createVault([dataKey], systemRandom);
const row = (n: number): AssociatedData => ({ table: 'secret', row: String(n), kind: 'prk', version: 1 });

function refused(open: () => unknown): boolean {
  try {
    open();
    return false;
  } catch (error) {
    return hasCode(error, 'sealed_value_unreadable');
  }
}

test('what was sealed opens in its place, for every content and length', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 5000 }),
      fc.string(),
      fc.string(),
      fc.nat(),
      (plaintext, table, key, version) => {
        const aad = { table, row: key, kind: 'k', version };
        expect(vault.open(vault.seal(plaintext, aad), aad).reveal().equals(plaintext)).toBe(true);
      },
    ),
  );
});

test('S12: a ciphertext moved to another row never opens', () => {
  const swaps = Number(process.env['ESPALIER_TEST_SWAPS'] ?? 1000);
  const sealed = Array.from({ length: 200 }, (_, n) => vault.seal(systemRandom.bytes(24), row(n)));
  let opened = 0;
  for (let swap = 0; swap < swaps; swap += 1) {
    const from = swap % 200;
    const to = (from + 1 + (swap % 199)) % 200;
    if (!refused(() => vault.open(sealed[from] as Buffer, row(to)))) opened += 1;
  }
  expect(opened).toBe(0);
});

test('another table, kind or version is another place', () => {
  const sealed = vault.seal(Buffer.from('secret'), row(1));
  for (const change of [{ table: 'secre' }, { table: 'secret1', row: '' }, { kind: 'PRK' }, { version: 2 }]) {
    expect(refused(() => vault.open(sealed, { ...row(1), ...change }))).toBe(true);
  }
});

test('every flipped byte and every truncation is refused', () => {
  const sealed = vault.seal(Buffer.from('twenty-four bytes of key'), row(1));
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = Buffer.from(sealed);
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
    expect(refused(() => vault.open(changed, row(1)))).toBe(true);
    expect(refused(() => vault.open(sealed.subarray(0, at), row(1)))).toBe(true);
  }
  expect(refused(() => vault.open(Buffer.concat([sealed, Buffer.alloc(1)]), row(1)))).toBe(true);
});

test('the same plaintext never seals to the same bytes', () => {
  const seen = new Set(Array.from({ length: 500 }, () => vault.seal(Buffer.from('x'), row(1)).toString('hex')));
  expect(seen.size).toBe(500);
});

test('a newer data key seals, the older one still opens', () => {
  const second = createDataKey(kek, { ...KEY_ROW, version: 2 }, systemRandom).dataKey;
  const both = createVault([second, dataKey], systemRandom);
  const old = vault.seal(Buffer.from('old'), row(1));
  expect(both.open(old, row(1)).reveal().toString()).toBe('old');
  const fresh = both.seal(Buffer.from('new'), row(1));
  expect(createVault([second], systemRandom).open(fresh, row(1)).reveal().toString()).toBe('new');
  expect(refused(() => vault.open(fresh, row(1)))).toBe(true);
});

test('a data key unwraps only under its KEK and in its row', () => {
  expect(unwrapDataKey(kek, wrapped, KEY_ROW).key.equals(dataKey.key)).toBe(true);
  expect(refused(() => unwrapDataKey(kek, wrapped, { ...KEY_ROW, row: 'data_key/other' }))).toBe(true);
  const other = parseKek(systemRandom.bytes(32).toString('base64'), 'test');
  expect(() => unwrapDataKey(other, wrapped, KEY_ROW)).toThrow(
    new RegExp(`wrapped by KEK ${kek.id.toString('hex')}, and the KEK given is ${other.id.toString('hex')}`),
  );
  // The right id on the wrong key: the tag is what decides.
  const forged = { id: kek.id, key: other.key };
  expect(refused(() => unwrapDataKey(forged, wrapped, KEY_ROW))).toBe(true);
});

test('an opened secret shows in no text form, and no refusal repeats it', () => {
  const secret = vault.open(vault.seal(Buffer.from('ABCD-EFGH'), row(1)), row(1));
  for (const text of [
    `${secret}`,
    JSON.stringify({ secret }),
    inspect({ secret }),
    inspect(secret, { showHidden: true }),
  ]) {
    expect(text).not.toMatch(/ABCD|41 42 43 44|65,66/);
  }
  const sealed = vault.seal(Buffer.from('ABCD-EFGH'), row(1));
  try {
    vault.open(sealed, row(2));
  } catch (error) {
    expect(inspect(error)).not.toMatch(/ABCD|41 42 43 44|65,66/);
  }
});
